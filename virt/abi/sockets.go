package abi

// Extensions returns the functions that a Host answers in [ModuleName] beside those of preview1:
// those of WasmEdge for sockets, which package vfs/sockets describes, in the order of WasmEdge's
// header. A function with two signatures is in it twice, the one of version 2 first; preview1 has
// the other one of sock_accept.
func Extensions() []Function { return append([]Function(nil), extensions[:]...) }

var (
	sockaddr    = param("addr", KindSockaddr)
	outSockaddr = param("addr", KindOutSockaddr)
	port        = param("port", KindSize)
	outPort     = param("port", KindOutNumber)
	outType     = param("type", KindOutNumber)
	riflags     = param("flags", KindRiflags)
	roflags     = param("oflags", KindOutRoflags)
)

var extensions = [...]Function{
	{Name: "sock_open", Subsystem: SubsystemSockets, Params: params(param("family", KindSize), param("type", KindSize), param("fd", KindOutFd))},
	{Name: "sock_bind", Subsystem: SubsystemSockets, Params: params(fd, sockaddr, port)},
	{Name: "sock_listen", Subsystem: SubsystemSockets, Params: params(fd, param("backlog", KindSize))},
	{Name: "sock_accept", Subsystem: SubsystemSockets, Params: params(fd, param("ro_fd", KindOutFd))},
	{Name: "sock_connect", Subsystem: SubsystemSockets, Params: params(fd, sockaddr, port)},
	{Name: "sock_recv_from", Subsystem: SubsystemSockets, Params: params(fd, iovs, outSockaddr, riflags, outPort, nread, roflags)},
	{Name: "sock_recv_from", Subsystem: SubsystemSockets, Params: params(fd, iovs, outSockaddr, riflags, nread, roflags)},
	{Name: "sock_send_to", Subsystem: SubsystemSockets, Params: params(fd, ciovs, sockaddr, port, param("flags", KindSiflags), nwrit)},
	{Name: "sock_getpeeraddr", Subsystem: SubsystemSockets, Params: params(fd, outSockaddr, outPort)},
	{Name: "sock_getpeeraddr", Subsystem: SubsystemSockets, Params: params(fd, outSockaddr, outType, outPort)},
	{Name: "sock_getlocaladdr", Subsystem: SubsystemSockets, Params: params(fd, outSockaddr, outPort)},
	{Name: "sock_getlocaladdr", Subsystem: SubsystemSockets, Params: params(fd, outSockaddr, outType, outPort)},
	{Name: "sock_getsockopt", Subsystem: SubsystemSockets, Params: params(fd, param("level", KindSize), param("name", KindSize), param("value", KindOutBytes), param("size", KindOutBytes))},
	{Name: "sock_setsockopt", Subsystem: SubsystemSockets, Params: params(fd, param("level", KindSize), param("name", KindSize), param("value", KindBytes))},
	{Name: "sock_getaddrinfo", Subsystem: SubsystemSockets, Params: params(param("node", KindBytes), param("service", KindBytes), param("hints", KindAddrinfo),
		param("res", KindOutBytes), param("max_len", KindSize), param("res_len", KindOutNumber))},
}
