// Package sockets lets guests open sockets of their own: it answers the functions that WasmEdge
// added beside preview1 in the module wasi_snapshot_preview1 (sock_open, sock_bind, sock_listen,
// sock_connect, sock_getsockopt, sock_setsockopt, sock_getaddrinfo, sock_getlocaladdr,
// sock_getpeeraddr, sock_send_to, sock_recv_from).
//
// A [Network] decides what guests reach. There are two: netmem.Network.At is one site of a network
// in memory, and hostnet.NewNetwork is the machine's network, of which a guest reaches what rules
// grant and nothing else. virt.WithNetwork gives a guest its Network. A guest without one gets
// EACCES from sock_open and sock_getaddrinfo.
//
// # The functions
//
// No standard describes them. The signatures and layouts here are those of three public sources,
// which agree where a guest can tell: the header of WasmEdge (github.com/WasmEdge/WasmEdge,
// thirdparty/wasi/api.hpp and lib/host/wasi), the Rust crate wasmedge_wasi_socket 0.5.5
// (github.com/second-state/wasmedge_wasi_socket, src/socket.rs), and wasi-go 0.8
// (github.com/stealthrocket/wasi-go, imports/wasi_snapshot_preview1/wasmedge.go), whose guests are
// written with github.com/stealthrocket/net.
//
// Four functions have two signatures in the wild, under one name. The module's import tells which
// is meant:
//
//	                    version 1                                        version 2
//	sock_accept         (fd, result)                                     (fd, flags, result), preview1's own
//	sock_recv_from      (fd, iovs, iovs_len, addr, flags, nread, oflags) (fd, iovs, iovs_len, addr, flags, port, nread, oflags)
//	sock_getlocaladdr   (fd, addr, type, port)                           (fd, addr, port)
//	sock_getpeeraddr    (fd, addr, type, port)                           (fd, addr, port)
//
// An address is a pointer to a buffer and its size. A buffer of 4 bytes is an IPv4 address, one of
// 16 bytes an IPv6 address, or an IPv4 address in the first 4 bytes where the function stores it
// and tells its type (4 or 6). A buffer of 128 bytes begins with the family in 16 bits (1: IPv4, 2:
// IPv6), then the address. Ports are parameters of their own, in the machine's byte order;
// sock_getaddrinfo stores them before the address, in network order.
//
// # What is not there
//
// Sockets are TCP connections and listeners, and UDP sockets on a network that is a
// [DatagramNetwork], as both of these are. Broadcast and multicast addresses are addresses like
// others, and groups cannot be joined. sock_open answers EAFNOSUPPORT for the family of Unix
// sockets. Options that a program may set are remembered and change nothing, but timeouts
// (SO_RCVTIMEO, SO_SNDTIMEO) other than 0 are ENOTSUP: a program polls with a timeout instead.
// SO_BINDTODEVICE is ENOPROTOOPT.
package sockets
