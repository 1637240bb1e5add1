// Spring (Boot 3, Security 6 with JWT resource server): the three members most logs lack, as answer headers
// for the proxy's log (`whosaw setup nginx`, `whosaw setup envoy`), which also hides them from the customer.
//
// 1. This class, anywhere below your @SpringBootApplication:

import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import org.springframework.core.Ordered;
import org.springframework.core.annotation.Order;
import org.springframework.security.core.Authentication;
import org.springframework.security.core.context.SecurityContextHolder;
import org.springframework.security.oauth2.server.resource.authentication.JwtAuthenticationToken;
import org.springframework.stereotype.Component;
import org.springframework.web.filter.OncePerRequestFilter;

@Component
@Order(Ordered.LOWEST_PRECEDENCE) // after the security filters: the token is checked by then
public class WhosawFilter extends OncePerRequestFilter {
    @Override
    protected void doFilterInternal(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
            throws ServletException, IOException {
        Authentication auth = SecurityContextHolder.getContext().getAuthentication();
        if (auth instanceof JwtAuthenticationToken token) {
            response.setHeader("X-Whosaw-Principal", "customer:" + token.getToken().getSubject());
            if (token.getToken().getId() != null) { // jti
                response.setHeader("X-Whosaw-Credential", token.getToken().getId());
            }
            Object kid = token.getToken().getHeaders().get("kid");
            if (kid != null) {
                response.setHeader("X-Whosaw-Key", kid.toString());
            }
        }
        chain.doFilter(request, response);
    }

    /** Call it in each handler that shows a customer's data, before it writes: showed(response, customerId). */
    public static void showed(HttpServletResponse response, Object subject) {
        response.setHeader("X-Whosaw-Subject", subject.toString());
    }
}

// 2. In each handler that shows a customer's data:
//
//    @GetMapping("/me/addresses")
//    List<Address> addresses(@AuthenticationPrincipal Jwt jwt, HttpServletResponse response) {
//        WhosawFilter.showed(response, jwt.getSubject());
//        …
//    }
//
//    Staff pages: "staff:" + name instead of "customer:" + subject as the principal.
