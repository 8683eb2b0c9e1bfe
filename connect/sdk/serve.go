package sdk

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"

	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/leatstream/leat/connect/sdk/proto"
)

// Serve runs the connector as the plugin that this process is. It returns when the runtime is done with it, and
// ends the process if the runtime dies.
func Serve(c Connector) {
	if os.Getenv(proto.CookieKey) != proto.CookieValue {
		fmt.Fprintf(os.Stderr, "%s %s is a plugin for leat: put it into leat's plugin directory and name it in YAML as `plugin: %s`\n\n%s",
			c.Name, c.Version, c.Name, c.Docs())
		os.Exit(1)
	}
	stdout() // take the inherited files before anything else opens one
	exitWithParent()
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: proto.Handshake,
		Plugins:         plugin.PluginSet{proto.DoorName: &proto.Door{Service: &server{connector: c}}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts,
				grpc.MaxRecvMsgSize(proto.MaxMessage), grpc.MaxSendMsgSize(proto.MaxMessage),
				grpc.InitialWindowSize(8<<20), grpc.InitialConnWindowSize(16<<20),
				grpc.ReadBufferSize(256<<10), grpc.WriteBufferSize(256<<10),
			)...)
		},
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr, JSONFormat: true}),
	})
}

// stdout is the user's stdout, which the runtime hands over beside the plugin's own.
var stdout = sync.OnceValue(func() *os.File {
	if f := inherited(proto.StdoutFDEnv, "stdout"); f != nil {
		return f
	}
	return os.Stdout
})

// inherited opens the file descriptor that an environment variable names, out of reach of child processes.
func inherited(env, name string) *os.File {
	fd, err := strconv.Atoi(os.Getenv(env))
	if err != nil || fd < 3 {
		return nil
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name)
}
