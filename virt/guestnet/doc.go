// Package guestnet opens connections in guests: it is for Go programs that are compiled with
// GOOS=wasip1, whose package net can use only what the host hands over. Its functions are those of
// package net, over the calls that package vfs/sockets answers.
//
//	client := http.Client{Transport: &http.Transport{DialContext: guestnet.DialContext}}
//	listener, err := guestnet.Listen("tcp", ":8080")
//	packets, err := guestnet.ListenPacket("udp", ":53")
//
// The host has to grant a network, with virt.WithNetwork; without one everything is EACCES.
// Networks are "tcp", "tcp4", "tcp6", "udp", "udp4" and "udp6". Elsewhere than on wasip1 the
// package has no functions: GOOS=wasip1 GOARCH=wasm go doc shows them.
package guestnet
