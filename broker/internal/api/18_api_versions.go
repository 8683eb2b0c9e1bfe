package api

import (
	"regexp"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const keyAPIVersions = 18

// init and not a variable: the handler reads the table that it is in.
func init() { handle(0, 5, (*API).apiVersions) }

var clientSoftware = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?$`) // KIP-511

func (a *API) apiVersions(c *Call, req *kmsg.ApiVersionsRequest, resp *kmsg.ApiVersionsResponse) error {
	if c.Version >= 3 && (!clientSoftware.MatchString(req.ClientSoftwareName) || !clientSoftware.MatchString(req.ClientSoftwareVersion)) {
		return kerr.InvalidRequest
	}
	if c.Version >= 5 { // the client says whom it believes to reach (KIP-1242)
		switch known := req.NodeID != -1; {
		case known != (req.ClusterID != nil):
			return kerr.InvalidRequest
		case known && (req.NodeID != a.NodeID || *req.ClusterID != a.Meta.Image().ClusterID()):
			return kerr.RebootstrapRequired
		}
	}
	resp.ApiKeys = advertised()
	a.advertiseFeatures(resp, c.Version)
	return nil
}

func advertised() []kmsg.ApiVersionsResponseApiKey {
	var keys []kmsg.ApiVersionsResponseApiKey
	for _, v := range Versions() {
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MinVersion, k.MaxVersion = v.Key, v.Min, v.Max
		keys = append(keys, k)
	}
	return keys
}
