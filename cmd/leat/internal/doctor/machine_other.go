//go:build !linux

package doctor

import (
	"errors"
	"math"
)

// ThisMachine is the one that the process runs on. Only Linux tells more.
func ThisMachine() Machine { return Machine{Root: "/", Descriptors: math.MaxUint64} }

func statDisk(string) (disk, error) { return disk{}, errors.ErrUnsupported }
