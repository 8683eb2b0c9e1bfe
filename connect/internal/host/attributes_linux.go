package host

import "syscall"

// attributes of a plugin's process. It is killed when we die, even if it does not watch the pipe of plugin.proto: Go ends
// no thread that has started processes.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
