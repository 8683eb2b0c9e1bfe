//go:build !race

package connect

import "time"

// backWithin is how soon a plugin that was killed is promised to be running again.
const backWithin = time.Second
