// Package guard puts whosaw's guard in front of a Go service: each request is judged before it is answered, and each answer before
// it leaves.
//
//	g, err := guard.New(guard.Config{Server: "http://127.0.0.1:8470", Token: token, Door: "shop", Source: "shop"})
//	http.ListenAndServe(addr, g.Wrap(mux))
//
// A handler says whom and what its answer shows before it writes the first byte:
//
//	mask, err := guard.Show(r.Context(), guard.Shown{Subjects: []string{id}, Fields: []string{"name", "phone"}})
//	if err != nil {
//		return // the answer was refused, and whoever asked was told
//	}
//	if mask.Has("phone") {
//		phone = masked(phone)
//	}
//
// Show asks the server, waits until the access is durable where the route's policy wants that, and says which fields the
// handler must mask. An answer of which a handler does not say what it shows leaves at once, unless [Config.Declared] wants it said, and is
// recorded as an access of which the catalog says what it shows.
//
// Invariants:
//  1. What Show was told of is judged before Show returns, so before the handler can write it.
//  2. A refusal is written here, once; the handler's own writes after it go nowhere.
//  3. A credential is sent to the server that judges it, and is kept nowhere: what is remembered of a decision lies under the
//     SHA-256 of credential, method and path, for as long as the decision says.
//  4. While the server cannot be asked, a request gets what [Config.Open] says for it, and [Client.Stats] counts it.
//  5. Each answered request is one access record with an id of its own, sent again until the server has it or the process ends; when too
//     many wait, requests wait. What could not be sent is counted, never silent.
//
// It needs the standard library only.
package guard
