package api

import "github.com/twmb/franz-go/pkg/kmsg"

// feature is one that clients and tools switch on (KIP-584). What is in the list works; its level is in force everywhere.
type feature struct {
	name  string
	level int16
	min   int16 // the lowest level that Kafka knows: 0 if the feature can be off
}

// features are Kafka's names and levels, by name.
var features = []feature{
	{name: "group.version", level: 1},             // the consumer protocol of KIP-848
	{name: "metadata.version", level: 33, min: 7}, // 4.4-IV2, and from 3.3-IV3 on
	{name: "transaction.version", level: 2},
}

// advertiseFeatures puts the features into an answer. Clients older than version 4 trip over levels from 0 on (KAFKA-17492).
func (a *API) advertiseFeatures(resp *kmsg.ApiVersionsResponse, version int16) {
	resp.FinalizedFeaturesEpoch = a.Meta.Offset()
	for _, f := range features {
		finalized := kmsg.NewApiVersionsResponseFinalizedFeature()
		finalized.Name, finalized.MaxVersionLevel, finalized.MinVersionLevel = f.name, f.level, f.level
		resp.FinalizedFeatures = append(resp.FinalizedFeatures, finalized)
		if f.min == 0 && version < 4 {
			continue
		}
		supported := kmsg.NewApiVersionsResponseSupportedFeature()
		supported.Name, supported.MinVersion, supported.MaxVersion = f.name, f.min, f.level
		resp.SupportedFeatures = append(resp.SupportedFeatures, supported)
	}
}
