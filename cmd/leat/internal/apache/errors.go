package apache

import (
	"errors"
	"fmt"
	"strings"

	"github.com/leatstream/leat/cmd/leat/internal/admin"
	"github.com/twmb/franz-go/pkg/kerr"
)

// exceptions are the names of Kafka's exceptions that do not follow from the names of their codes.
var exceptions = map[string]string{
	"TOPIC_ALREADY_EXISTS":         "TopicExistsException",
	"NON_EMPTY_GROUP":              "GroupNotEmptyException",
	"INVALID_CONFIG":               "InvalidConfigurationException",
	"COORDINATOR_LOAD_IN_PROGRESS": "CoordinatorLoadInProgressException",
	"UNKNOWN_SERVER_ERROR":         "UnknownServerException",
	"REQUEST_TIMED_OUT":            "TimeoutException",
	"MESSAGE_TOO_LARGE":            "RecordTooLargeException",
	"NOT_LEADER_FOR_PARTITION":     "NotLeaderOrFollowerException",
	"CORRUPT_MESSAGE":              "CorruptRecordException",
}

// exception names the exception that Java programs get for an error of a broker.
func exception(err error) string {
	var k *kerr.Error
	if !errors.As(err, &k) {
		return ""
	}
	name, ok := exceptions[k.Message]
	if !ok {
		var b strings.Builder
		for _, word := range strings.Split(k.Message, "_") {
			if word != "" {
				b.WriteString(word[:1] + strings.ToLower(word[1:]))
			}
		}
		name = strings.TrimSuffix(b.String(), "Exception") + "Exception"
	}
	return "org.apache.kafka.common.errors." + name
}

// message is what a broker says about an error, without its code.
func message(err error) string {
	var said *admin.Refusal
	var k *kerr.Error
	switch {
	case errors.As(err, &said):
		return said.Message
	case errors.As(err, &k):
		return k.Description
	}
	return err.Error()
}

// full is an error with its exception, as Java prints it.
func full(err error) string {
	if name := exception(err); name != "" {
		return name + ": " + message(err)
	}
	return fmt.Sprint(err)
}
