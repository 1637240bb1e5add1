package door

import (
	"context"
	"net/netip"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/presented"
)

// envoy answers Envoy's external authorization, version 3.
type envoy struct {
	authv3.UnimplementedAuthorizationServer
	judge Judge
	door  *guard.DoorConfig
}

// Check judges one request.
func (e *envoy) Check(ctx context.Context, in *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	q, ok := envoyRequest(in, e.door)
	if !ok {
		return denied(typev3.StatusCode_Forbidden, codes.InvalidArgument, header("x-whosaw-reason", string(guard.CodeBadRequest))), nil
	}
	d := e.judge.Decide(ctx, &q)
	headers := []*corev3.HeaderValueOption{header("x-whosaw-action", d.Action.String()), header("x-whosaw-reason", string(d.Because()))}
	switch d.Status() {
	case 0:
		id := &d.Identity
		out := &authv3.OkHttpResponse{}
		for _, x := range [...]struct{ name, value string }{
			{"x-whosaw-principal", id.Principal}, {"x-whosaw-credential", id.Credential}, {"x-whosaw-key", id.Key}, {"x-whosaw-client", id.Client},
		} {
			if x.value != "" && plain(x.value) {
				out.Headers = append(out.Headers, header(x.name, x.value))
			} else { // what the client sent under our names is not ours
				out.HeadersToRemove = append(out.HeadersToRemove, x.name)
			}
		}
		out.Headers = append(out.Headers, headers...)
		return &authv3.CheckResponse{Status: &status.Status{Code: int32(codes.OK)}, HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: out}}, nil
	case 401:
		return denied(typev3.StatusCode_Unauthorized, codes.Unauthenticated, append(headers, header("www-authenticate", challenge(&d)))...), nil
	case 429:
		return denied(typev3.StatusCode_TooManyRequests, codes.ResourceExhausted, append(headers, header("retry-after", retryAfter(&d)))...), nil
	case 503:
		return denied(typev3.StatusCode_ServiceUnavailable, codes.Unavailable, headers...), nil
	}
	return denied(typev3.StatusCode_Forbidden, codes.PermissionDenied, headers...), nil
}

func header(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header: &corev3.HeaderValue{Key: name, Value: value}, AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

func denied(code typev3.StatusCode, rpc codes.Code, headers ...*corev3.HeaderValueOption) *authv3.CheckResponse {
	return &authv3.CheckResponse{
		Status: &status.Status{Code: int32(rpc)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: code}, Headers: headers,
		}},
	}
}

// envoyRequest reads what Envoy says of a request. The client's address is its source: Envoy's own settings (use_remote_address,
// xff_num_trusted_hops) see to that.
func envoyRequest(in *authv3.CheckRequest, door *guard.DoorConfig) (q guard.Request, ok bool) {
	http := in.GetAttributes().GetRequest().GetHttp()
	address := in.GetAttributes().GetSource().GetAddress().GetSocketAddress().GetAddress()
	if http.GetMethod() == "" || http.GetPath() == "" {
		return q, false
	}
	a, err := netip.ParseAddr(address)
	if err != nil {
		return q, false
	}
	h := headersOf(http)
	q = guard.Request{
		ID: presented.Single(h["x-request-id"]), Door: door.Name, Method: http.GetMethod(), Path: http.GetPath(), Credential: guard.Secret(presented.Credential(h["authorization"], h["cookie"], door.Cookie)),
		IP: a.Unmap(), Agent: presented.Single(h["user-agent"]), Methods: presented.Methods(overrides(h)),
	}
	if q.ID == "" {
		q.ID = http.GetId()
	}
	more := in.GetAttributes().GetContextExtensions() // written by Envoy's configuration, not by clients
	for _, name := range door.Tells {
		switch name {
		case "country":
			q.Country = more["country"]
		case "tls":
			q.TLS = more["tls"]
		case "asn":
			if n, err := whosaw.ParseASN(more["asn"]); err == nil {
				q.ASN = n
			}
		}
	}
	return q, true
}

// overrides gives the headers that name another method, under their canonical names; nil if there are none.
func overrides(h map[string][]string) (out map[string][]string) {
	for _, name := range presented.Overrides {
		if list := h[strings.ToLower(name)]; list != nil {
			if out == nil {
				out = map[string][]string{}
			}
			out[name] = list
		}
	}
	return out
}

// headersOf gives the headers that the door reads, by names in lower case. Envoy sends a map of texts, or with encode_raw_headers a list.
func headersOf(http *authv3.AttributeContext_HttpRequest) map[string][]string {
	out := make(map[string][]string, 4)
	texts := http.GetHeaders()
	for _, name := range [...]string{"authorization", "cookie", "user-agent", "x-request-id", "x-http-method-override", "x-http-method", "x-method-override"} {
		if v := texts[name]; v != "" {
			out[name] = []string{v}
		}
	}
	for _, x := range http.GetHeaderMap().GetHeaders() {
		v := x.GetValue()
		if v == "" {
			v = string(x.GetRawValue())
		}
		name := strings.ToLower(x.GetKey())
		out[name] = append(out[name], v)
	}
	return out
}
