//! Builds the request of an HTTP exchange and reads the head of its response. The only user of gloo-net and
//! wasm-bindgen-futures.
//!
//! A `fetch` of the user is called and awaited here, in [`exchange`], so that all its outcomes are handled in
//! one place. The global `fetch` is awaited in `js/platform/fetch.ts`, between [`request_init`] and
//! [`response_head`]; all bodies are read there too. A promise that is awaited here costs two closures and
//! two microtasks, in Node a sixth of the time that a request of the outbox takes.
//!
//! No function returns an object: V8 11 crashes when it discards code that waits for a wasm call to return an
//! object, which may happen here because functions of the platform or the user run during the call.

use gloo_net::http::{Headers, Response};
use js_sys::{Array, Date, Function, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{AbortSignal, RequestInit, RequestRedirect};

use crate::base::http::read_retry_after;

/// Fills in the options for the global `fetch`.
#[wasm_bindgen]
pub fn request_init(
    init: Object,
    method: &str,
    headers: &str,
    body: &Uint8Array,
    signal: &AbortSignal,
    keepalive: bool,
) {
    fill(init.unchecked_ref(), method, headers, body, signal, keepalive);
}

/// Appends to `head`: the response, its status, the delay from `Retry-After` in milliseconds or -1, and the
/// requested headers as lines. `names`: their names, separated by one space.
#[wasm_bindgen]
pub fn response_head(response: JsValue, names: &str, head: &Array) {
    // Without a class check: a test environment may replace the class Response.
    let raw = Response::from(response.clone().unchecked_into::<web_sys::Response>());
    let retry_after = raw
        .headers()
        .get("retry-after")
        .and_then(|value| read_retry_after(&value, Date::now() as u64))
        .map_or(-1.0, |delay| delay.0 as f64);
    head.push(&response);
    head.push(&raw.status().into());
    head.push(&retry_after.into());
    head.push(&header_lines(&raw, names).into());
}

/// Sends a request with a `fetch` of the user. Calls `on_response` with the head of the response, see
/// [`response_head`], or `on_error` with the error that `fetch` threw or rejected with.
#[wasm_bindgen]
#[allow(clippy::too_many_arguments, reason = "a call from JavaScript has only positional arguments")]
pub fn exchange(
    fetch: Function,
    method: &str,
    url: String,
    headers: String,
    body: Uint8Array,
    signal: AbortSignal,
    response_headers: String,
    keepalive: bool,
    on_response: Function,
    on_error: Function,
) {
    // Not deferred: a page that is being closed may not run deferred work.
    let init = RequestInit::new();
    fill(&init, method, &headers, &body, &signal, keepalive);
    // Never a `Request`: a `fetch` of another library does not know the class of this platform.
    let sent = fetch.call2(&JsValue::UNDEFINED, &url.into(), &init);
    spawn_local(async move {
        let called = match settled(sent).await {
            Ok(response) => {
                let head = Array::new();
                response_head(response, &response_headers, &head);
                on_response.call1(&JsValue::UNDEFINED, &head)
            }
            Err(error) => on_error.call1(&JsValue::UNDEFINED, &error),
        };
        // Neither callback throws.
        drop(called);
    });
}

async fn settled(sent: Result<JsValue, JsValue>) -> Result<JsValue, JsValue> {
    JsFuture::from(Promise::resolve(&sent?)).await
}

/// The requested headers of a response, as lines; all of them for `*`. A browser hides `set-cookie`.
fn header_lines(response: &Response, names: &str) -> String {
    let mut lines = String::new();
    if names == "*" {
        let all = response.headers().entries().map(|(name, _)| name).collect::<Vec<_>>().join(" ");
        return if all.is_empty() { lines } else { header_lines(response, &all) };
    }
    for name in names.split_whitespace() {
        // Cookies joined by commas cannot be separated again, because dates contain commas.
        let cookies = (name == "set-cookie").then(|| cookies(response)).flatten();
        let values = cookies.unwrap_or_else(|| response.headers().get(name).into_iter().collect());
        for value in values {
            lines.extend([name, ": ", &value, "\n"]);
        }
    }
    lines
}

/// The `set-cookie` headers one by one, if the platform supports that.
fn cookies(response: &Response) -> Option<Vec<String>> {
    let headers = response.headers().into_raw();
    let method = Reflect::get(&headers, &"getSetCookie".into()).ok()?.dyn_into::<Function>().ok()?;
    let values: Array = method.call0(&headers).ok()?.dyn_into().ok()?;
    Some(values.iter().filter_map(|value| value.as_string()).collect())
}

fn fill(
    init: &RequestInit,
    method: &str,
    lines: &str,
    body: &Uint8Array,
    signal: &AbortSignal,
    keepalive: bool,
) {
    let headers = Headers::new();
    for (name, value) in lines.lines().filter_map(|line| line.split_once(": ")) {
        headers.set(name, value);
    }
    init.set_method(method);
    init.set_headers(&headers.into_raw());
    init.set_redirect(RequestRedirect::Manual);
    init.set_signal(Some(signal));
    // An empty body is no body.
    if body.length() > 0 {
        init.set_body(body);
    }
    if keepalive {
        // web-sys has no setter for it. Setting a member of a plain object does not fail.
        drop(Reflect::set(init, &"keepalive".into(), &true.into()));
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

    use super::*;

    wasm_bindgen_test_configure!(run_in_browser);

    /// Runs an exchange with a `fetch` written in JavaScript. Returns status, retryAfterMs, headers and the
    /// response.
    async fn run(fetch: &str) -> Result<(u16, f64, String, web_sys::Response), JsValue> {
        let fetch = Function::new_with_args("url, init", fetch);
        let signal = web_sys::AbortController::new()?.signal();
        let url = "https://example.com/x".to_owned();
        let headers = "content-type: text/plain\nauthorization: Bearer a: b".to_owned();
        let body = Uint8Array::from(&b"hi"[..]);
        let head = Promise::new(&mut |on_response, on_error| {
            let (fetch, url, headers) = (fetch.clone(), url.clone(), headers.clone());
            exchange(
                fetch,
                "POST",
                url,
                headers,
                body.clone(),
                signal.clone(),
                "content-type x-none set-cookie".to_owned(),
                false,
                on_response,
                on_error,
            );
        });
        let head: Array = JsFuture::from(head).await?.unchecked_into();
        let number = |at| head.get(at).as_f64().unwrap_or(f64::NAN);
        let headers = head.get(3).as_string().expect("headers");
        Ok((number(1) as u16, number(2), headers, head.get(0).unchecked_into()))
    }

    #[wasm_bindgen_test]
    async fn sends_a_request_and_reads_the_head_of_the_response() {
        let echo = "return Promise.resolve(new Response([init.method, url, init.headers.get('authorization'), init.redirect, \
                    new TextDecoder().decode(init.body)].join(' '), { status: 201, headers: { 'retry-after': '3' } }))";
        let (status, retry_after_ms, _, response) = run(echo).await.expect("a response");
        let text = JsFuture::from(response.text().expect("a body")).await.expect("a text");
        assert_eq!((status, retry_after_ms), (201, 3000.0));
        assert_eq!(text.as_string().expect("a text"), "POST https://example.com/x Bearer a: b manual hi");
    }

    #[wasm_bindgen_test]
    async fn reads_the_requested_headers_and_each_cookie_separately() {
        let script = "const answer = new Response('', { headers: { 'content-type': 'text/html', 'x-other': '1' } }); \
                      Object.defineProperty(answer.headers, 'getSetCookie', { value: () => ['a=1; Expires=Wed, 1 Jan 2031 00:00:00 GMT', 'b=2'] }); \
                      const headers = answer.headers; Object.defineProperty(answer, 'headers', { value: headers }); return Promise.resolve(answer)";
        let (_, _, headers, _) = run(script).await.expect("a response");
        assert_eq!(
            headers,
            "content-type: text/html\nset-cookie: a=1; Expires=Wed, 1 Jan 2031 00:00:00 GMT\nset-cookie: b=2\n"
        );
    }

    #[wasm_bindgen_test]
    async fn rejects_with_the_error_of_the_fetch() {
        let error = run("return Promise.reject(new TypeError('no way'))").await.expect_err("an error");
        assert_eq!(js_sys::Error::from(error).message(), "no way");
        assert!(run("throw new TypeError('thrown')").await.is_err());
    }
}
