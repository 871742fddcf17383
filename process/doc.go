// Package process is what makes a guest a process: its arguments and environment, and
// the ways in which it ends itself.
//
// # Arguments and environment
//
// Args and Env are descriptions, made by the embedder and changed by copying: they say
// which strings a guest shall have, fixed ones, those that a function returns, or
// variables of the host's environment by a policy. When a guest starts, Snapshot makes
// Strings of them once, encoded as the guest will want them. So args_sizes_get and
// args_get can never disagree, and a call of either is a copy.
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
// proc_exit and proc_raise end the guest by an error, Exit or Raised, that travels
// like any other through the host functions. The embedder's Hooks hear of it first and
// may ignore a signal. Nothing here ends the host.
package process
