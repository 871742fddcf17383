// Package guestnet opens connections in guests. It is for Go programs that are compiled with
// GOOS=wasip1, because their package net cannot open sockets. Its functions are those of package
// net.
//
//	client := http.Client{Transport: &http.Transport{DialContext: guestnet.DialContext}}
//	listener, err := guestnet.Listen("tcp", ":8080")
//	packets, err := guestnet.ListenPacket("udp", ":53")
//
// The host has to grant a network with virt.WithNetwork. Without it, every function returns EACCES.
// Networks are "tcp", "tcp4", "tcp6", "udp", "udp4" and "udp6". The functions exist on wasip1 only:
// GOOS=wasip1 GOARCH=wasm go doc shows them.
package guestnet
