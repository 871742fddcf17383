package main

func Example() {
	main()
	// Output:
	// the guest has written out.txt
	// it ended with exit 0, and out.txt is: HELLO FROM A FILE THAT IS ON NO DISK
}
