package api

// Routes lists the routes, with whether they are served over the socket only.
func Routes() (list []struct {
	Method, Path string
	Local        bool
}) {
	for _, r := range routes {
		list = append(list, struct {
			Method, Path string
			Local        bool
		}{r.method, r.path, r.who == ownerOnly})
	}
	return list
}

// Watchers is how many wait for live figures.
func (a *API) Watchers() int { return a.hub.count() }

// Patient is [API.Patient] with another patience.
var Patient = patient
