package api

import (
	"slices"
	"strconv"

	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 1, (*API).listConfigResources)

// listableTypes are the types of resources that Kafka lists. What this broker cannot configure has no resources.
var listableTypes = []int8{
	int8(kmsg.ConfigResourceTypeTopic), int8(kmsg.ConfigResourceTypeBroker), int8(kmsg.ConfigResourceTypeBrokerLogger),
	int8(kmsg.ConfigResourceTypeClientMetrics), int8(kmsg.ConfigResourceTypeGroupConfig),
}

func (a *API) listConfigResources(c *Call, req *kmsg.ListConfigResourcesRequest, resp *kmsg.ListConfigResourcesResponse) error {
	if err := a.allowCluster(c, auth.DescribeConfigs); err != nil {
		return err
	}
	wanted := req.ResourceTypes
	switch {
	case c.Version == 0: // it lists clients' metrics only
		wanted = []int8{int8(kmsg.ConfigResourceTypeClientMetrics)}
	case len(wanted) == 0:
		wanted = listableTypes
	}
	m := a.Meta.Image()
	for i, t := range wanted {
		if !slices.Contains(listableTypes, t) {
			resp.ConfigResources = nil
			return kerr.UnsupportedVersion
		}
		if slices.Contains(wanted[:i], t) {
			continue
		}
		for _, name := range a.configResources(m, kmsg.ConfigResourceType(t)) {
			resp.ConfigResources = append(resp.ConfigResources, kmsg.ListConfigResourcesResponseConfigResource{Name: name, Type: t})
		}
	}
	return nil
}

// configResources are the names of the resources of a type that have configurations.
func (a *API) configResources(m *meta.Image, t kmsg.ConfigResourceType) (names []string) {
	switch t {
	case kmsg.ConfigResourceTypeTopic:
		for _, t := range m.Topics() {
			names = append(names, t.Name)
		}
	case kmsg.ConfigResourceTypeBroker:
		for _, b := range m.Brokers() {
			names = append(names, strconv.Itoa(int(b.ID)))
		}
	case kmsg.ConfigResourceTypeBrokerLogger:
		if a.LogLevel != nil {
			names = []string{strconv.Itoa(int(a.NodeID))}
		}
	case kmsg.ConfigResourceTypeGroupConfig:
		names = m.ConfiguredGroups()
	}
	return names
}
