package hostfs

var backends = map[string]func(string, options) (backend, error){
	"openat": openHeld,
	"root":   openRooted,
}
