package ingest

import "strings"

// The presets: how widely used servers write JSON access logs when nobody changed the names.
func presetMapping(name string) *mapping {
	m := &mapping{name: name, take: takeOuter}
	switch name {
	case FormatNginx:
		// nginx has no JSON format of its own; people name members after its variables.
		m.time = m.src("time_iso8601", "msec", "time_local", "@timestamp", "timestamp", "time")
		m.method = m.src("request_method", "method")
		m.path = m.src("request_uri", "uri", "path")
		m.line = m.src("request")
		m.status = m.src("status")
		m.bytes = m.src("body_bytes_sent", "bytes_sent", "bytes")
		m.ip = m.src("http_x_forwarded_for", "x_forwarded_for", "remote_addr", "clientip", "client_ip", "ip")
		m.agent = m.src("http_user_agent", "user_agent", "agent")
		m.request = m.src("request_id", "http_x_request_id")
		m.tls = m.src("ssl_ja4", "http_ja4", "ja4")
		m.country = m.src("geoip_country_code", "geoip2_country_code", "country")
		m.principal = m.src("remote_user")
		m.principal.prefix = userPrefix
	case FormatEnvoy:
		m.time = m.src("start_time")
		m.method = m.src("method")
		m.path = m.src("x_envoy_original_path", "path")
		m.status = m.src("response_code")
		m.bytes = m.src("bytes_sent")
		m.ip = m.src("x_forwarded_for", "downstream_direct_remote_address", "downstream_remote_address")
		m.agent = m.src("user_agent")
		m.request = m.src("request_id", "x_request_id")
		m.tls = m.src("tls_ja4_fingerprint", "ja4")
	case FormatTraefik:
		m.time = m.src("StartUTC", "StartLocal", "time")
		m.method = m.src("RequestMethod")
		m.path = m.src("RequestPath")
		m.line = m.src("RequestLine")
		m.status = m.src("DownstreamStatus", "OriginStatus")
		m.bytes = m.src("DownstreamContentSize", "OriginContentSize")
		m.ip = m.src("request_X-Forwarded-For", "ClientAddr", "ClientHost")
		m.agent = m.src("request_User-Agent", "request_user-agent")
		m.request = m.src("request_X-Request-Id", "request_X-Request-ID")
		m.principal = m.src("ClientUsername")
		m.principal.prefix = userPrefix
	case FormatCaddy:
		m.time = m.src("ts")
		m.method = m.src("request.method")
		m.path = m.src("request.uri")
		m.status = m.src("status")
		m.bytes = m.src("size")
		m.ip = m.src("request.headers.X-Forwarded-For.0", "request.remote_addr", "request.remote_ip", "request.client_ip")
		m.agent = m.src("request.headers.User-Agent.0")
		m.request = m.src("request.headers.X-Request-Id.0", "uuid")
		m.principal = m.src("user_id")
		m.principal.prefix = userPrefix
	default:
		return nil
	}
	return m
}

// presetOf recognises a JSON line's writer by its top-level names.
func presetOf(has func(name string) bool, object func(name string) bool) string {
	count := func(names string) (n int) {
		for name := range strings.SplitSeq(names, " ") {
			if has(name) {
				n++
			}
		}
		return n
	}
	switch {
	case has("eventSource") && has("eventName"):
		return FormatCloudTrail
	case object("request") && has("type") && has("time") && (has("auth") || has("response")):
		return FormatVault
	case count("RequestMethod RequestPath RequestLine DownstreamStatus StartUTC ClientHost") >= 2:
		return FormatTraefik
	case has("ts") && object("request"):
		return FormatCaddy
	case has("start_time") && count("response_code response_flags method path") >= 2:
		return FormatEnvoy
	case count("time_iso8601 time_local msec @timestamp timestamp time") > 0 &&
		count("remote_addr request_method request_uri body_bytes_sent http_user_agent time_iso8601 time_local msec request_time http_referer upstream_addr") >= 2:
		return FormatNginx
	}
	return ""
}
