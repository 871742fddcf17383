// Package fleet runs WebAssembly jobs on many machines, on top of NATS JetStream.
//
// A [Job] names a module, an input tree, arguments, an environment and a seed. Every job is
// deterministic: its [Result] is a function of the Job alone. The fleet may therefore run a job
// twice, late, or on another machine, and the result is the same.
//
// A [Client] stores modules and trees by their SHA-256 and submits jobs. A [Worker] takes jobs,
// runs them and stores their results. A [Server] is a NATS server inside the process; a URL of an
// existing cluster works as well.
//
// JetStream keeps everything:
//
//   - stream JOBS: a work queue with one message for each waiting or running job. The subject of a
//     message ends in the job's ID, and a subject holds one message at most: a job that is asked
//     for twice is queued once.
//   - bucket RESULTS: one entry for each finished job. A worker creates the entry before it
//     acknowledges the message, so a crash between the two repeats the job and loses nothing.
//   - bucket ASIDE: the jobs that no worker could finish, with the reason.
//   - bucket DIFFERENCES: the jobs for which two workers gave different results, with both.
//   - bucket WORKERS: one entry for each worker that lives. Entries expire on the server.
//   - object store OBJECTS: modules, trees, large outputs and recordings, by SHA-256.
package fleet
