package virt

import (
	"context"
	"errors"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/internal/wasmbin"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/sockets"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/wasip1"
)

// socketRows is how many functions the extension has, those with two signatures counted twice.
const socketRows = 15

// extension is the functions of WasmEdge for sockets: package abi describes them, package sockets
// answers. Those with two signatures are two rows of one name: all that is said of a function by
// its name is said of both.
var extension = func() (all [socketRows]function) {
	for i, f := range abi.Extensions() {
		all[i] = function{Function: f, call: socketAnswers[i]}
	}
	return all
}()

// socketAnswers are the implementations in the order of [abi.Extensions].
var socketAnswers = [socketRows]handler{
	func(t *thread, p []uint64) wasip1.Errno { // sock_open
		return sockets.SockOpen(&t.files, t.guest.config.network, u(p, 0), u(p, 1), u(p, 2))
	},
	func(t *thread, p []uint64) wasip1.Errno { // sock_bind
		return sockets.SockBind(&t.files, u(p, 0), u(p, 1), u(p, 2))
	},
	func(t *thread, p []uint64) wasip1.Errno { // sock_listen
		return sockets.SockListen(&t.files, u(p, 0), u(p, 1))
	},
	func(t *thread, p []uint64) wasip1.Errno { // sock_accept, version 1
		return vfs.SockAccept(&t.files, u(p, 0), 0, u(p, 1))
	},
	func(t *thread, p []uint64) wasip1.Errno { // sock_connect
		return sockets.SockConnect(&t.files, u(p, 0), u(p, 1), u(p, 2))
	},
	func(t *thread, p []uint64) wasip1.Errno { // sock_recv_from, version 2
		return sockets.SockRecvFrom(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), u(p, 4), u(p, 6), u(p, 7), u(p, 5))
	},
	func(t *thread, p []uint64) wasip1.Errno { // sock_recv_from, version 1
		return sockets.SockRecvFrom(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), u(p, 4), u(p, 5), u(p, 6))
	},
	func(t *thread, p []uint64) wasip1.Errno { // sock_send_to
		return sockets.SockSendTo(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), u(p, 4), u(p, 5), u(p, 6))
	},
	func(t *thread, p []uint64) wasip1.Errno { // sock_getpeeraddr, version 2
		return sockets.SockGetpeeraddr(&t.files, u(p, 0), u(p, 1), u(p, 2))
	},
	func(t *thread, p []uint64) wasip1.Errno { // sock_getpeeraddr, version 1
		return sockets.SockGetpeeraddr(&t.files, u(p, 0), u(p, 1), u(p, 3), u(p, 2))
	},
	func(t *thread, p []uint64) wasip1.Errno { // sock_getlocaladdr, version 2
		return sockets.SockGetlocaladdr(&t.files, u(p, 0), u(p, 1), u(p, 2))
	},
	func(t *thread, p []uint64) wasip1.Errno { // sock_getlocaladdr, version 1
		return sockets.SockGetlocaladdr(&t.files, u(p, 0), u(p, 1), u(p, 3), u(p, 2))
	},
	func(t *thread, p []uint64) wasip1.Errno { // sock_getsockopt
		return sockets.SockGetsockopt(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), u(p, 4))
	},
	func(t *thread, p []uint64) wasip1.Errno { // sock_setsockopt
		return sockets.SockSetsockopt(&t.files, u(p, 0), u(p, 1), u(p, 2), u(p, 3), u(p, 4))
	},
	func(t *thread, p []uint64) wasip1.Errno { // sock_getaddrinfo
		return sockets.SockGetaddrinfo(&t.files, t.guest.config.network,
			u(p, 0), u(p, 1), u(p, 2), u(p, 3), u(p, 4), u(p, 5), u(p, 6), u(p, 7))
	},
}

// WithNetwork sets what a guest reaches by sockets that it opens itself, with the functions that
// WasmEdge added beside preview1; see package sockets. One site of a network in memory is
// netmem.Network.At; the machine's network, as far as rules grant it, is hostnet.NewNetwork.
// Default: none, and sock_open and sock_getaddrinfo answer EACCES.
func WithNetwork(n sockets.Network) GuestOption {
	return guestOption("WithNetwork", func(c *config) error {
		if n == nil {
			return errors.New("the network is nil: leave the option out for a guest without one")
		}
		c.network = n
		return nil
	})
}

// signatures is which of the rows with equal names a module imports: a bit for each row that is not
// the first of its name.
type signatures uint32

// signaturesOf reads them from a module's imports.
func signaturesOf(imports []wasmbin.Import) (s signatures) {
	for _, im := range imports {
		if im.Kind != wasmbin.KindFunc || im.Module != abi.ModuleName {
			continue
		}
		for i := range extension {
			if f := &extension[i]; f.Name == im.Name && functionNamed(im.Name) != f && f.Width() == len(im.Func.Params) {
				s |= 1 << i
			}
		}
	}
	return s
}

// export adds the functions to a host module, those of several signatures as s says.
func (h *Host) export(b wazero.HostModuleBuilder, s signatures) {
	chosen := map[string]int{}
	for i := range rows {
		n := i - firstSocketRow
		if _, other := chosen[row(i).Name]; i != spawnRow && (!other || n >= 0 && s&(1<<n) != 0) {
			chosen[row(i).Name] = i
		}
	}
	for i := range rows {
		f := row(i)
		if n, ok := chosen[f.Name]; !ok || n != i {
			continue
		}
		params, results, names := f.signature()
		b.NewFunctionBuilder().
			WithGoModuleFunction(h.adapt(i), params, results).
			WithName(f.Name).
			WithParameterNames(names...).
			Export(f.Name)
	}
}

// variants are the host modules of preview1 with other signatures than the first.
type variants struct {
	mu  sync.Mutex
	all map[signatures]api.Module
}

// get returns the one for modules that import s, which is made once; nil where that is the Host's
// own.
func (v *variants) get(ctx context.Context, h *Host, s signatures) (api.Module, error) {
	if s == 0 {
		return nil, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if m := v.all[s]; m != nil {
		return m, nil
	}
	b := h.runtime.NewHostModuleBuilder(abi.ModuleName)
	h.export(b, s)
	m, err := h.instantiateHost(ctx, abi.ModuleName, b)
	if err != nil {
		return nil, err
	}
	if v.all == nil {
		v.all = map[signatures]api.Module{}
	}
	v.all[s] = m
	return m, nil
}

// close closes them, in a runtime that the Host does not close.
func (v *variants) close(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	var errs []error
	for _, m := range v.all {
		errs = append(errs, m.Close(ctx))
	}
	v.all = nil
	return errors.Join(errs...)
}
