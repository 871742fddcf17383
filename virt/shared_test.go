package virt_test

import "github.com/wasivirt/wasivirt/virt"

// shared is for Hosts that run large guests: what one has compiled the others need not compile
// again, which takes a race detector's build many seconds. TestMain sets it.
var shared virt.HostOption
