package file

import (
	"testing"

	"github.com/leatstream/leat/connect/sdk/sdktest"
)

func TestMain(m *testing.M) { sdktest.Main(m, Connector()) }
