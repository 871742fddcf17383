// Package devfs holds files that the host makes: the devices of /dev, files whose content a
// function returns, and files that are objects of the embedder. Use it to build a virtual /dev,
// /proc or /sys.
//
//	dev := devfs.New(devfs.WithStreams(stdin, stdout, stderr))
//	proc := devfs.Empty()
//	proc.AddFunc("self/status", func() ([]byte, error) { … })
//	proc.AddFile("sys/level", level)
//	ns.Mount("/dev", dev)
//	ns.Mount("/proc", proc)
//
// Guests can open what is there, and nothing else: they make, remove and rename nothing (EROFS).
// What is written to a file goes to its object. Host code adds and removes files at any time; what
// is open stays open.
//
// Times of files that have none of their own are the time at which they were added, on the Host's
// clock; randomness comes from the Host's source ([vfs.Env]). Without an Env, reading random
// returns EIO.
package devfs
