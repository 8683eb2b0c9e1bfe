//go:build race

package connect

import "time"

// backWithin is more than what is promised: processes start slowly under the race detector.
const backWithin = 10 * time.Second
