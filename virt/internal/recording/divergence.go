package recording

import "fmt"

// DivergenceError says where a run that is replayed does something else than the recorded one.
type DivergenceError struct {
	// Event is how many events of the recording were the same.
	Event uint64
	// Thread is the thread of the guest that is different.
	Thread uint32
	// Recorded and Replayed tell what each did.
	Recorded, Replayed string
}

// Error tells place and difference in three lines.
func (d *DivergenceError) Error() string {
	return fmt.Sprintf("the replay parts from the recording after %d events, in thread %d:\n  recorded: %s\n  replayed: %s", d.Event, d.Thread, d.Recorded, d.Replayed)
}
