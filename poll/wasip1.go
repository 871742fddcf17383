package poll

import (
	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Oneoff is poll_oneoff: it waits for the first of several things to happen.
//
//	in       the subscriptions (48 bytes each)
//	out      where the events (32 bytes each) go; room for nsubs of them
//	nsubs    how many subscriptions there are
//	nevents  where the number of events (4 bytes) goes
//
// It returns as soon as one subscription has come true, with the events of all that have by
// then, in the order of the subscriptions. A subscription that is wrong in itself gets an
// event with an errno, and ends the wait too. in and out may overlap.
//
// Errors: EINVAL for no subscriptions, for more than the limit of s, and for one whose type does
// not exist; EFAULT for pointers out of memory; ENOMEM if s.Charge refuses; ECANCELED if the thread
// was ended while it waited.
func Oneoff(s *Set, v *memory.View, in, out, nsubs, nevents uint32) wasip1.Errno {
	limit := s.Limit
	if limit == 0 {
		limit = MaxSubscriptions
	}
	if nsubs == 0 || nsubs > limit || nsubs > 1<<26 {
		return wasip1.EINVAL
	}
	b, errno := v.Read(in, nsubs*wasip1.SizeSubscription)
	if errno != wasip1.ESUCCESS {
		return errno
	}
	if !v.Has(out, nsubs*wasip1.SizeEvent) || !v.Has(nevents, 4) {
		return wasip1.EFAULT
	}
	free, ok := s.charge(nsubs)
	if !ok {
		return wasip1.ENOMEM
	}
	defer free()
	if uint32(cap(s.subs)) < nsubs {
		s.subs = make([]wasip1.Subscription, nsubs)
		s.events = make([]wasip1.Event, nsubs)
	}
	subs, events := s.subs[:nsubs], s.events[:nsubs]
	for i := range subs {
		subs[i] = wasip1.DecodeSubscription(b[i*wasip1.SizeSubscription:])
		if !subs[i].Tag.Valid() {
			return wasip1.EINVAL
		}
	}
	var n int
	if s.Poller != nil {
		n, errno = s.Poller.Poll(s, subs, events)
	} else {
		n, errno = s.Poll(subs, events)
	}
	if errno != wasip1.ESUCCESS {
		return errno
	}
	n = min(n, len(events))
	b, errno = v.Write(out, uint32(n)*wasip1.SizeEvent)
	if errno != wasip1.ESUCCESS {
		return errno
	}
	for i := range n {
		events[i].Encode(b[i*wasip1.SizeEvent:])
	}
	return v.PutUint32(nevents, uint32(n))
}
