//! What goes out in an HTTP exchange, and what an answer says before its body. The only home of gloo-net and wasm-bindgen-futures.
//!
//! A `fetch` of the user is called and waited for here ([`exchange`]); whatever it does ends in one place. The platform's own is waited for in
//! `js/platform/fetch.ts`, between [`request_init`] and [`answer_head`], and that is where bodies are read: a promise that is awaited here
//! costs two closures and two microtasks with a context of their own, in Node a sixth of what a request of the outbox takes.
//!
//! None of this returns an object: V8 11 ends the process when code that waits for a wasm call to return an object is thrown out meanwhile,
//! and functions of the platform, or even of the user, run meanwhile.

use gloo_net::http::{Headers, Response};
use js_sys::{Array, Date, Function, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{AbortSignal, Request, RequestInit, RequestRedirect};

use crate::base::http::read_retry_after;

/// Fills in what the platform's `fetch` wants beside the URL. It is given no `Request`: from that it would make another, and send the body
/// of that as a stream.
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

/// Appends what an answer says before its body: the answer itself, its status, retryAfterMs or -1, and the wanted headers as lines.
/// `wanted`: names parted by one space.
#[wasm_bindgen]
pub fn answer_head(answer: JsValue, wanted: &str, head: &Array) {
    // Not by class: a test environment may have put another Response in place of the platform's.
    let seen = Response::from(answer.clone().unchecked_into::<web_sys::Response>());
    let retry_after = seen
        .headers()
        .get("retry-after")
        .and_then(|value| read_retry_after(&value, Date::now() as u64))
        .map_or(-1.0, |wait| wait.0 as f64);
    head.push(&answer);
    head.push(&seen.status().into());
    head.push(&retry_after.into());
    head.push(&lines(&seen, wanted).into());
}

/// Sends a request by a `fetch` of the user and calls `landed` with the head of its answer, see [`answer_head`], or `failed` with whatever
/// the fetch threw or rejected with.
#[wasm_bindgen]
#[allow(clippy::too_many_arguments, reason = "a call from JavaScript has no other way to name them")]
pub fn exchange(
    fetch: Function,
    method: &str,
    url: String,
    headers: String,
    body: Uint8Array,
    signal: AbortSignal,
    wanted: String,
    keepalive: bool,
    landed: Function,
    failed: Function,
) {
    // At once: a page that ends may not come to what is put off.
    let init = RequestInit::new();
    fill(&init, method, &headers, &body, &signal, keepalive);
    let sent = Request::new_with_str_and_init(&url, &init)
        .and_then(|request| fetch.call1(&JsValue::UNDEFINED, &request));
    spawn_local(async move {
        let said = match answer_to(sent).await {
            Ok(answer) => {
                let head = Array::new();
                answer_head(answer, &wanted, &head);
                landed.call1(&JsValue::UNDEFINED, &head)
            }
            Err(error) => failed.call1(&JsValue::UNDEFINED, &error),
        };
        // Neither throws; and there would be nobody to tell.
        drop(said);
    });
}

async fn answer_to(sent: Result<JsValue, JsValue>) -> Result<JsValue, JsValue> {
    JsFuture::from(Promise::resolve(&sent?)).await
}

/// The wanted headers that are there, as lines. A browser hides `set-cookie`.
fn lines(answer: &Response, wanted: &str) -> String {
    let mut lines = String::new();
    for name in wanted.split_whitespace() {
        // Joined by commas they could not be told apart, because dates have commas too.
        let cookies = (name == "set-cookie").then(|| cookies(answer)).flatten();
        let values = cookies.unwrap_or_else(|| answer.headers().get(name).into_iter().collect());
        for value in values {
            lines.extend([name, ": ", &value, "\n"]);
        }
    }
    lines
}

/// Each `set-cookie` by itself, where the platform can say that.
fn cookies(answer: &Response) -> Option<Vec<String>> {
    let headers = answer.headers().into_raw();
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
    // A body of no bytes is no body.
    if body.length() > 0 {
        init.set_body(body);
    }
    if keepalive {
        // web-sys does not know it. Setting a member of a plain object does not fail.
        drop(Reflect::set(init, &"keepalive".into(), &true.into()));
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

    use super::*;

    wasm_bindgen_test_configure!(run_in_browser);

    /// What an exchange against a `fetch` written in JavaScript says of its answer: status, retryAfterMs, headers; and the answer.
    async fn run(fetch: &str) -> Result<(u16, f64, String, web_sys::Response), JsValue> {
        let fetch = Function::new_with_args("request", fetch);
        let signal = web_sys::AbortController::new()?.signal();
        let url = "https://example.com/x".to_owned();
        let headers = "content-type: text/plain\nauthorization: Bearer a: b".to_owned();
        let body = Uint8Array::from(&b"hi"[..]);
        let head = Promise::new(&mut |landed, failed| {
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
                landed,
                failed,
            );
        });
        let head: Array = JsFuture::from(head).await?.unchecked_into();
        let number = |at| head.get(at).as_f64().unwrap_or(f64::NAN);
        let headers = head.get(3).as_string().expect("headers");
        Ok((number(1) as u16, number(2), headers, head.get(0).unchecked_into()))
    }

    #[wasm_bindgen_test]
    async fn carries_a_request_and_the_head_of_its_answer() {
        let echo = "return request.text().then((body) => new Response([request.method, request.url, \
                    request.headers.get('authorization'), request.redirect, body].join(' '), { status: 201, headers: { 'retry-after': '3' } }))";
        let (status, after, _, answer) = run(echo).await.expect("an answer");
        let text = JsFuture::from(answer.text().expect("a body")).await.expect("a text");
        assert_eq!((status, after), (201, 3000.0));
        assert_eq!(text.as_string().expect("a text"), "POST https://example.com/x Bearer a: b manual hi");
    }

    #[wasm_bindgen_test]
    async fn gives_the_headers_that_were_wanted_each_cookie_by_itself() {
        let answer = "const answer = new Response('', { headers: { 'content-type': 'text/html', 'x-other': '1' } }); \
                      Object.defineProperty(answer.headers, 'getSetCookie', { value: () => ['a=1; Expires=Wed, 1 Jan 2031 00:00:00 GMT', 'b=2'] }); \
                      const headers = answer.headers; Object.defineProperty(answer, 'headers', { value: headers }); return Promise.resolve(answer)";
        let (_, _, headers, _) = run(answer).await.expect("an answer");
        assert_eq!(
            headers,
            "content-type: text/html\nset-cookie: a=1; Expires=Wed, 1 Jan 2031 00:00:00 GMT\nset-cookie: b=2\n"
        );
    }

    #[wasm_bindgen_test]
    async fn rejects_with_what_the_fetch_rejected_with() {
        let error = run("return Promise.reject(new TypeError('no way'))").await.expect_err("an error");
        assert_eq!(js_sys::Error::from(error).message(), "no way");
        assert!(run("throw new TypeError('thrown')").await.is_err());
    }
}
