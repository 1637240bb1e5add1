package door

import (
	"context"
	"net/http"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/whosaw/whosaw/internal/guard"
)

// NginxHandler is the handler of a door of kind nginx.
func NginxHandler(j Judge, d *guard.DoorConfig) http.Handler { return nginxHandler(j, d) }

// DecideHandler is the handler of a door of kind decide.
func DecideHandler(j Judge, name string) http.Handler { return decideHandler(j, name) }

// EnvoyCheck asks a door of kind envoy, and gives the code of its answer: 0 lets the request through.
func EnvoyCheck(j Judge, d *guard.DoorConfig, http *authv3.AttributeContext_HttpRequest, from string) int32 {
	in := &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: from},
		}}},
		Request: &authv3.AttributeContext_Request{Http: http},
	}}
	out, err := (&envoy{judge: j, door: d}).Check(context.Background(), in)
	if err != nil {
		return -1
	}
	return out.GetStatus().GetCode()
}
