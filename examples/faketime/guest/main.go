// Guest sleeps for an hour and tells when it began and when it woke.
package main

import (
	"fmt"
	"time"
)

func main() {
	fmt.Println("it is", time.Now().Format(time.DateTime))
	time.Sleep(time.Hour)
	fmt.Println("it is", time.Now().Format(time.DateTime))
}
