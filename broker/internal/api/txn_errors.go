package api

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
)

// fenced is err for a client that knows PRODUCER_FENCED only from version since on.
func fenced(err error, version, since int16) error {
	return before(err, version, since, kerr.ProducerFenced, kerr.InvalidProducerEpoch)
}

// abortable is err for a client that knows TRANSACTION_ABORTABLE only from version since on (KIP-890).
func abortable(err error, version, since int16) error {
	return before(err, version, since, kerr.TransactionAbortable, kerr.InvalidTxnState)
}

func before(err error, version, since int16, is, was *kerr.Error) error {
	if version < since && errors.Is(err, is) {
		return was
	}
	return err
}
