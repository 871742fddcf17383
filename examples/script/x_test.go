package main
import ("testing";"fmt")
func TestX(t *testing.T){ e,err:=NewEngine(t.Context()); if err!=nil{t.Fatal(err)}; out,err:=e.Run(t.Context(),"print(1)",nil); fmt.Printf("%+v %v\n",out,err)}
