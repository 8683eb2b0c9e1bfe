package api

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"syscall"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/group"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/replica"
	"github.com/leatstream/leat/broker/internal/storage"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// codes is the one table from errors of the rooms below to Kafka's codes. The first that matches counts.
var codes = []struct {
	err  error
	code *kerr.Error
}{
	{meta.ErrInvalidTopic, kerr.InvalidTopicException},
	{meta.ErrTopicExists, kerr.TopicAlreadyExists},
	{meta.ErrUnknownTopic, kerr.UnknownTopicOrPartition},
	{meta.ErrUnknownTopicID, kerr.UnknownTopicID},
	{meta.ErrInvalidPartitions, kerr.InvalidPartitions},
	{meta.ErrInvalidReplication, kerr.InvalidReplicationFactor},
	{meta.ErrInvalidAssignment, kerr.InvalidReplicaAssignment},
	{meta.ErrInvalidConfig, kerr.InvalidConfig},
	{meta.ErrInvalidRequest, kerr.InvalidRequest},
	{meta.ErrNoCredential, kerr.ResourceNotFound},
	{meta.ErrDuplicate, kerr.DuplicateResource},
	{meta.ErrBadCredential, kerr.UnacceptableCredential},
	{meta.ErrScramMechanism, kerr.UnsupportedSaslMechanism},
	{meta.ErrPolicy, kerr.PolicyViolation},
	{meta.ErrTopicDeletionDisabled, kerr.TopicDeletionDisabled},
	{meta.ErrElectionNotNeeded, kerr.ElectionNotNeeded},
	{meta.ErrNoPreferredLeader, kerr.PreferredLeaderNotAvailable},
	{meta.ErrNoEligibleLeader, kerr.EligibleLeadersNotAvailable},
	{meta.ErrNoReassignment, kerr.NoReassignmentInProgress},
	{replica.ErrGone, kerr.UnknownTopicOrPartition},
	{replica.ErrOutOfRange, kerr.OffsetOutOfRange},
	{replica.ErrNotDeletable, kerr.PolicyViolation},
	{replica.ErrEpochOld, kerr.FencedLeaderEpoch},
	{replica.ErrEpochFuture, kerr.UnknownLeaderEpoch},
	{replica.ErrSequence, kerr.OutOfOrderSequenceNumber},
	{replica.ErrProducerEpoch, kerr.InvalidProducerEpoch},
	{replica.ErrTxnState, kerr.InvalidTxnState},
	{replica.ErrCoordinatorFenced, kerr.TransactionCoordinatorFenced},
	{replica.ErrCorrupt, kerr.CorruptMessage},
	{replica.ErrMagic, kerr.UnsupportedForMessageFormat},
	{replica.ErrInvalidRecord, kerr.InvalidRecord},
	{replica.ErrInvalidTime, kerr.InvalidTimestamp},
	{replica.ErrTooLarge, kerr.MessageTooLarge},
	{replica.ErrBatchTooLarge, kerr.RecordListTooLarge},
	{auth.ErrNoMechanism, kerr.UnsupportedSaslMechanism},
	{auth.ErrSASLState, kerr.IllegalSaslState},
	{auth.ErrFailed, kerr.SaslAuthenticationFailed},
	{storage.ErrOffline, kerr.KafkaStorageError},
	{storage.ErrDamaged, kerr.CorruptMessage},
	{storage.ErrClosed, kerr.NotLeaderForPartition},
	{context.DeadlineExceeded, kerr.RequestTimedOut},
	{context.Canceled, kerr.RequestTimedOut},
}

// code is Kafka's number for err, which a client is told; 0 for nil.
func code(err error) int16 {
	if err == nil {
		return 0
	}
	c := numberOf(err)
	told[uint8(c)].Add(1)
	return c
}

func numberOf(err error) int16 {
	var k *kerr.Error
	if errors.As(err, &k) {
		return k.Code
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code.Code
		}
	}
	if errors.As(err, new(syscall.Errno)) { // of files: a full disk, no descriptor, a directory in the place of a file
		return kerr.KafkaStorageError.Code
	}
	return kerr.UnknownServerError.Code
}

// message is what a client may show its user; nil for nil. An error that says no more than its code is worded as Kafka does.
func message(err error) *string {
	if err == nil {
		return nil
	}
	var worded *meta.Error
	if errors.As(err, &worded) {
		return kmsg.StringPtr(worded.Message)
	}
	var why *group.Refusal
	if errors.As(err, &why) {
		return kmsg.StringPtr(why.Why)
	}
	var bare *kerr.Error
	if errors.As(err, &bare) {
		return kmsg.StringPtr(bare.Description)
	}
	for _, c := range codes {
		if err == c.err { //nolint:errorlint // a wrapped one says more
			return kmsg.StringPtr(c.code.Description)
		}
	}
	return kmsg.StringPtr(err.Error())
}

// worded is a refusal of some kind, with what to tell the user.
func worded(kind error, format string, args ...any) error {
	return &meta.Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// refusal is an error as responses carry it: its code, and its message.
func refusal(err error) (int16, *string) { return code(err), message(err) }

// setError puts err into the response's own ErrorCode and ErrorMessage. A response without them has an error code for
// each of its parts, which its handler fills.
func setError(resp kmsg.Response, err error) {
	v := reflect.ValueOf(resp).Elem()
	if f := v.FieldByName("ErrorCode"); f.IsValid() {
		f.SetInt(int64(code(err)))
	}
	if f := v.FieldByName("ErrorMessage"); f.IsValid() && f.Kind() == reflect.Pointer {
		f.Set(reflect.ValueOf(message(err)))
	}
}

// setThrottle puts the throttle time into a response that has one.
func setThrottle(resp kmsg.Response, ms int32) {
	if f := reflect.ValueOf(resp).Elem().FieldByName("ThrottleMillis"); f.IsValid() {
		f.SetInt(int64(ms))
	}
}
