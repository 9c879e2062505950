package batch

import (
	"errors"

	"golang.org/x/sys/unix"
)

// refused tells whether an error says that there is no GSO here: EIO from a device without checksum
// offload (udp(7)), EINVAL and ENOPROTOOPT from an old kernel, EMSGSIZE from a path with a small MTU.
func refused(err error) bool {
	for _, no := range []error{unix.EIO, unix.EINVAL, unix.ENOPROTOOPT, unix.EMSGSIZE} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}
