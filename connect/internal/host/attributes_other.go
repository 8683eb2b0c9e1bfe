//go:build !linux

package host

import "syscall"

// attributes of a plugin's process.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
