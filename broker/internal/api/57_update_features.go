package api

import (
	"github.com/leatstream/leat/broker/internal/auth"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var _ = handle(0, 2, (*API).updateFeatures)

// How a feature may be told to change, from a version that Kafka knows as an upgrade to one that loses something.
const (
	upgrade         = 1
	unsafeDowngrade = 3
)

// updateFeatures takes levels that are in force already: they come with the version of this broker and change with it only.
// One that is refused refuses all.
func (a *API) updateFeatures(c *Call, req *kmsg.UpdateFeaturesRequest, resp *kmsg.UpdateFeaturesResponse) error {
	if err := a.allowCluster(c, auth.Alter); err != nil {
		return err
	}
	for _, u := range req.FeatureUpdates {
		err := checkFeature(u.Feature, u.MaxVersionLevel)
		if c.Version >= 1 && (u.UpgradeType < upgrade || u.UpgradeType > unsafeDowngrade) {
			err = worded(kerr.InvalidUpdateVersion, "The upgrade type for feature %s is not valid.", u.Feature)
		}
		if err != nil {
			resp.Results = nil
			return err
		}
		if c.Version >= 2 { // which has no results
			continue
		}
		r := kmsg.NewUpdateFeaturesResponseResult()
		r.Feature = u.Feature
		resp.Results = append(resp.Results, r)
	}
	return nil
}

func checkFeature(name string, level int16) error {
	for _, f := range features {
		switch {
		case f.name != name:
		case f.level == level:
			return nil
		default:
			return worded(kerr.InvalidUpdateVersion,
				"Invalid update version %d for feature %s. This version of the broker has level %d, and no other.", level, name, f.level)
		}
	}
	return worded(kerr.InvalidUpdateVersion, "Invalid update version %d for feature %s. This broker does not have that feature.", level, name)
}
