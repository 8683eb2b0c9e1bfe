package api

import (
	"log/slog"
	"slices"
	"strconv"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rootLogger is the one logger that there is, by the name that Kafka gives the one above all.
var rootLogger = meta.Def{Name: "root", Type: meta.String, Doc: "The least that is logged, until the broker stops."}

// fromLogger is the source of a logger's level, with the number that DescribeConfigs uses (KIP-412).
const fromLogger meta.Source = 6

type namedLevel struct {
	name  string
	level slog.Level
}

// levels are Kafka's words for what is logged, the most first.
var levels = []namedLevel{
	{"TRACE", slog.LevelDebug - 4}, {"DEBUG", slog.LevelDebug}, {"INFO", slog.LevelInfo},
	{"WARN", slog.LevelWarn}, {"ERROR", slog.LevelError}, {"FATAL", slog.LevelError + 4},
}

// describeLoggers tells what the broker logs.
func (a *API) describeLoggers(broker string) ([]meta.Described, error) {
	if err := a.checkLoggers(broker); err != nil {
		return nil, err
	}
	now := levels[0].name
	for _, l := range levels {
		if a.LogLevel.Level() >= l.level {
			now = l.name
		}
	}
	return []meta.Described{{Def: &rootLogger, Setting: meta.Setting{Name: rootLogger.Name, Value: now, Source: fromLogger}}}, nil
}

func (a *API) checkLoggers(broker string) error {
	switch id := strconv.Itoa(int(a.NodeID)); {
	case a.LogLevel == nil:
		return unsupportedResource(kmsg.ConfigResourceTypeBrokerLogger)
	case broker != id:
		return worded(kerr.InvalidRequest, "Unexpected broker id, expected %s but received %s", id, broker)
	}
	return nil
}

// alterLoggers changes what the broker logs.
func (a *API) alterLoggers(c *Call, broker string, changes []meta.Alter, validateOnly bool) error {
	err := a.allowCluster(c, auth.AlterConfigs)
	if err != nil {
		return err
	}
	level, err := a.loggerLevel(broker, changes)
	if err == nil && !validateOnly {
		a.LogLevel.Set(level)
	}
	return err
}

// loggerLevel is the level that changes ask for.
func (a *API) loggerLevel(broker string, changes []meta.Alter) (level slog.Level, err error) {
	if err := a.checkLoggers(broker); err != nil {
		return 0, err
	}
	level = a.LogLevel.Level()
	for _, ch := range changes {
		i := slices.IndexFunc(levels, func(l namedLevel) bool { return ch.Value != nil && l.name == *ch.Value })
		switch {
		case ch.Name != rootLogger.Name:
			return 0, worded(kerr.InvalidConfig, "Logger %s does not exist: there is one, root.", ch.Name)
		case ch.Op == meta.OpDelete:
			return 0, worded(kerr.InvalidRequest, "Removing the log level of the root logger is not allowed")
		case ch.Op != meta.OpSet:
			return 0, worded(kerr.InvalidRequest, "Only a level can be set for a logger.")
		case i < 0:
			return 0, worded(kerr.InvalidConfig, "Cannot set the log level of root: valid log levels are TRACE, DEBUG, INFO, WARN, ERROR and FATAL.")
		}
		level = levels[i].level
	}
	return level, nil
}
