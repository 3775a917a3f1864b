//! What is asked over HTTP, and what is answered: there is one page, and it is only read.
//!
//! Pure: bytes in, bytes out. The heads of requests are parsed by `httparse`.

/// The longest head of a request, in bytes.
pub(super) const MAX_HEAD_BYTES: usize = 8 * 1024;

/// More header lines than any program sends that reads metrics.
const MAX_HEADERS: usize = 64;

/// What text of OpenMetrics is called in HTTP.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the head of a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The metrics.
    Metrics,
    /// Another page.
    OtherPage,
    /// To do something else with a page than to read it.
    OtherMethod,
    /// Nothing that can be understood.
    Nonsense,
}

/// Tells what is asked, once the whole head is there; `None` if it is not.
pub(super) fn asked(head: &[u8]) -> Option<Asked> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Err(_) => Some(Asked::Nonsense),
        Ok(httparse::Status::Partial) if head.len() >= MAX_HEAD_BYTES => Some(Asked::Nonsense),
        Ok(httparse::Status::Partial) => None,
        Ok(httparse::Status::Complete(_)) => {
            let page = request.path.and_then(|target| target.split('?').next());
            Some(match (request.method, page) {
                (_, page) if page != Some("/metrics") => Asked::OtherPage,
                (Some("GET"), _) => Asked::Metrics,
                _ => Asked::OtherMethod,
            })
        }
    }
}

/// Writes the answer with the metrics.
pub(super) fn metrics(text: &str) -> Vec<u8> {
    response("200 OK", OPEN_METRICS, "", text)
}

/// Writes the answer to everything else.
pub(super) fn refusal(asked: Asked) -> Vec<u8> {
    let (status, header, text) = match asked {
        Asked::OtherPage | Asked::Metrics => ("404 Not Found", "", "The page is /metrics.\n"),
        Asked::OtherMethod => ("405 Method Not Allowed", "Allow: GET\r\n", "It can only be read, by GET.\n"),
        Asked::Nonsense => ("400 Bad Request", "", "That is no request, or one with too long a head.\n"),
    };
    response(status, "text/plain; charset=utf-8", header, text)
}

fn response(status: &str, content_type: &str, header: &str, text: &str) -> Vec<u8> {
    let length = text.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n{header}Connection: close\r\n\r\n"
    );
    [head, text.to_owned()].concat().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(head: &str, expected: Option<Asked>) {
        assert_eq!(asked(head.as_bytes()), expected, "{head:?}");
    }

    #[test]
    fn one_page_is_read_and_nothing_else_is_done() {
        check("GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n", Some(Asked::Metrics));
        check("GET /metrics HTTP/1.0\r\n\r\n", Some(Asked::Metrics));
        check("GET /metrics?of=yours HTTP/1.1\r\n\r\n", Some(Asked::Metrics));
        for path in ["/", "/metrics/", "/metrics2", "/../metrics", "*", "http://here/metrics", "?/metrics"] {
            check(&format!("GET {path} HTTP/1.1\r\n\r\n"), Some(Asked::OtherPage));
        }
        check("POST / HTTP/1.1\r\n\r\n", Some(Asked::OtherPage));
        for method in ["POST", "HEAD", "get", "DELETE", "OPTIONS"] {
            check(&format!("{method} /metrics HTTP/1.1\r\n\r\n"), Some(Asked::OtherMethod));
        }
    }

    #[test]
    fn a_head_is_waited_for_until_it_is_whole_or_too_long() {
        let whole = "GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n";
        for end in 0..whole.len() {
            check(&whole[..end], None);
        }
        let endless = format!("GET /{} HTTP/1.1\r\n", "x".repeat(MAX_HEAD_BYTES));
        check(&endless[..MAX_HEAD_BYTES - 1], None);
        check(&endless[..MAX_HEAD_BYTES], Some(Asked::Nonsense));
        check(
            &format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MAX_HEADERS + 1)),
            Some(Asked::Nonsense),
        );
        for nonsense in ["\0", "GET\r\n\r\n", "GET /metrics HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02\0\x01"] {
            check(nonsense, Some(Asked::Nonsense));
        }
    }

    #[test]
    fn answers_say_how_long_they_are_and_that_no_more_comes() {
        let text = |answer| String::from_utf8(answer).unwrap();
        assert_eq!(
            text(metrics("# EOF\n")),
            "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n\
             Content-Length: 6\r\nConnection: close\r\n\r\n# EOF\n"
        );
        let refused = text(refusal(Asked::OtherMethod));
        assert!(
            refused.starts_with("HTTP/1.1 405 Method Not Allowed\r\n")
                && refused.contains("\r\nAllow: GET\r\n")
        );
        assert!(text(refusal(Asked::OtherPage)).starts_with("HTTP/1.1 404 "));
        assert!(text(refusal(Asked::Nonsense)).starts_with("HTTP/1.1 400 "));
    }
}
