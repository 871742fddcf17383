// Package process has the arguments and environment of a guest, and the ways in which a guest ends
// itself.
//
// # Arguments and environment
//
// [Args] and [Env] describe the strings that a guest gets: fixed strings, strings that a function
// returns, or variables of the host's environment that a policy passes. Their methods return
// changed copies. When a guest starts, Snapshot makes [Strings] of them once, encoded as the guest
// reads them. Therefore args_sizes_get and args_get always agree, and a call of either is a copy.
//
//	args := process.FixedArgs("prog", "-v")
//	env := process.Env{}.
//		WithHost(process.PassAllow("LANG", "LC_*")).
//		With("HOME", "/")
//
// Nothing of the host's environment reaches a guest unless a policy passes it.
//
// # Ending
//
// proc_exit and proc_raise end the guest by an error, [Exit] or [Raised]. The embedder's [Hooks]
// are called first and may ignore a signal. Nothing here ends the host.
package process
