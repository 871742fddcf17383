package mapping

import (
	"os"

	"golang.org/x/sys/unix"
)

// anonymous returns a file in memory that has no name.
func anonymous() (*os.File, error) {
	fd, err := unix.MemfdCreate("wasivirt-image", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), "image"), nil
}

// seal makes the kernel refuse every change of the file.
func (s *store) seal() error {
	conn, err := s.file.SyscallConn()
	if err != nil {
		return err
	}
	var sealErr error
	err = conn.Control(func(fd uintptr) {
		_, sealErr = unix.FcntlInt(fd, unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	})
	if err == nil {
		err = os.NewSyscallError("fcntl", sealErr)
	}
	return err
}
