package meta

// ProducerIDBlock is how many producer ids one decision hands out.
const ProducerIDBlock = 1000

// AllocateProducerIDs decides on the next block of producer ids: first and the ProducerIDBlock-1 after it.
func AllocateProducerIDs(m *Image) (first int64, records []Record) {
	return m.producerID, []Record{ProducerIDsAllocated{Next: m.producerID + ProducerIDBlock}}
}

// RegisterBroker decides that a broker is there. In an empty log it founds the cluster under clusterID.
func RegisterBroker(m *Image, clusterID string, b Broker) []Record {
	var out []Record
	if m.clusterID == "" {
		out = append(out, ClusterCreated{clusterID})
	}
	if have, ok := m.Broker(b.ID); !ok || have != b {
		out = append(out, BrokerRegistered{b})
	}
	if m.controller != b.ID {
		out = append(out, ControllerElected{b.ID})
	}
	return out
}
