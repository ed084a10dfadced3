//! One HTTP exchange. The only home of gloo-net and wasm-bindgen-futures.
//!
//! The function that fetches comes from JavaScript, because it may be the user's own. What is done with its
//! answer is bounded: at most `max_body` bytes are read, and what is left of the body is cancelled, because an
//! unread body keeps its connection.

use gloo_net::http::{Headers, Response};
use js_sys::{Array, ArrayBuffer, Date, Function, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{AbortSignal, ReadableStreamDefaultReader, Request, RequestInit, RequestRedirect};

use crate::http::read_retry_after;

/// Sends a request and calls `landed` with `[status, retryAfterMs or -1, the wanted headers as lines, the first bytes of the answer, what broke it
/// off or undefined]`, or
/// `failed` with whatever the fetch threw or rejected with. `wanted`: names parted by one space.
///
/// A `fetch` of the user is given a `Request`. The platform's own is given the URL and what would go into a request
/// (`is_plain`): from a `Request` it would make another, and send the body of that as a stream.
///
/// It gives no promise: V8 11 ends the process when code that waits for a wasm call to return an object is thrown out
/// meanwhile, and here a function of the user runs meanwhile.
#[wasm_bindgen]
#[allow(clippy::too_many_arguments, reason = "a call from JavaScript has no other way to name them")]
pub fn exchange(
    fetch: Function,
    method: &str,
    url: String,
    headers: String,
    body: Uint8Array,
    signal: AbortSignal,
    max_body: u32,
    wanted: String,
    keepalive: bool,
    is_plain: bool,
    landed: Function,
    failed: Function,
) {
    // At once: a page that ends may not come to what is put off.
    let sent = build(method, &headers, &body, &signal, keepalive).and_then(|init| {
        if is_plain {
            fetch.call2(&JsValue::UNDEFINED, &url.into(), &init)
        } else {
            fetch.call1(&JsValue::UNDEFINED, &Request::new_with_str_and_init(&url, &init)?.into())
        }
    });
    spawn_local(async move {
        let said = match read(sent, max_body, &wanted).await {
            Ok(answer) => landed.call1(&JsValue::UNDEFINED, &answer),
            Err(error) => failed.call1(&JsValue::UNDEFINED, &error),
        };
        // Neither throws; and there would be nobody to tell.
        drop(said);
    });
}

async fn read(sent: Result<JsValue, JsValue>, max_body: u32, wanted: &str) -> Result<Array, JsValue> {
    let answer = JsFuture::from(Promise::resolve(&sent?)).await?;
    // Not by class: a test environment may have put another Response in place of the platform's.
    let answer = Response::from(answer.unchecked_into::<web_sys::Response>());
    let retry_after = answer
        .headers()
        .get("retry-after")
        .and_then(|value| read_retry_after(&value, Date::now() as u64))
        .map_or(-1.0, |wait| wait.0 as f64);
    let status = answer.status();
    let headers = seen(&answer, wanted);
    let (body, broken) = read_body(&answer, max_body).await;
    Ok(Array::of5(&status.into(), &retry_after.into(), &headers.into(), &body, &broken))
}

/// The wanted headers that are there, as lines. A browser hides `set-cookie`.
fn seen(answer: &Response, wanted: &str) -> String {
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

fn build(
    method: &str,
    lines: &str,
    body: &Uint8Array,
    signal: &AbortSignal,
    keepalive: bool,
) -> Result<RequestInit, JsValue> {
    let headers = Headers::new();
    for (name, value) in lines.lines().filter_map(|line| line.split_once(": ")) {
        headers.set(name, value);
    }
    let init = RequestInit::new();
    init.set_method(method);
    init.set_headers(&headers.into_raw());
    init.set_redirect(RequestRedirect::Manual);
    init.set_signal(Some(signal));
    // A body of no bytes is no body.
    if body.length() > 0 {
        init.set_body(body);
    }
    if keepalive {
        Reflect::set(&init, &"keepalive".into(), &true.into())?;
    }
    Ok(init)
}

/// The first bytes of the body, and what broke it off, if something did. Such a body is as long as what came of it: for many the status has
/// said already what became of the request.
async fn read_body(answer: &Response, max: u32) -> (Uint8Array, JsValue) {
    let mut broken = JsValue::UNDEFINED;
    let Some(reader) =
        answer.body().map(|stream| stream.get_reader().unchecked_into::<ReadableStreamDefaultReader>())
    else {
        return (Uint8Array::new_with_length(0), broken);
    };
    let mut chunks: Vec<Uint8Array> = Vec::new();
    let mut len = 0;
    let mut has_ended = false;
    while len < max && !has_ended {
        let step = match JsFuture::from(reader.read()).await {
            Ok(step) => step,
            Err(cause) => {
                broken = cause;
                break;
            }
        };
        let Ok(chunk) = Reflect::get(&step, &"value".into()) else { break };
        has_ended = chunk.is_undefined();
        // Not by class: in a test environment the platform's bytes are of another realm.
        if !ArrayBuffer::is_view(&chunk) {
            break;
        }
        let chunk: Uint8Array = chunk.unchecked_into();
        let fits = chunk.length().min(max - len);
        chunks.push(chunk.subarray(0, fits));
        len += fits;
    }
    // What is left is of no use to anybody. An answer that is empty has to be read to its end all the same: before, browsers do not
    // give back what its request had of the budget for requests that survive the page.
    if !has_ended {
        // Not waited for: of an answer that was cloned it comes to no end before the clone does.
        drop(JsFuture::from(reader.cancel()));
    }
    if let [whole] = chunks.as_slice() {
        return (whole.clone(), broken);
    }
    let body = Uint8Array::new_with_length(len);
    let mut at = 0;
    for chunk in chunks {
        body.set(&chunk, at);
        at += chunk.length();
    }
    (body, broken)
}

#[cfg(test)]
mod tests {
    use js_sys::global;
    use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

    use super::*;

    wasm_bindgen_test_configure!(run_in_browser);

    /// Runs an exchange against a `fetch` written in JavaScript.
    async fn run(fetch: &str, max_body: u32) -> Result<(u16, f64, String), JsValue> {
        let (status, after, _, body) = see(fetch, max_body).await?;
        Ok((status, after, body))
    }

    /// The same with the headers that were wanted.
    async fn see(fetch: &str, max_body: u32) -> Result<(u16, f64, String, String), JsValue> {
        let answer = answer_of(fetch, max_body).await?;
        let headers = answer.get(2).as_string().expect("headers");
        let body = Uint8Array::from(answer.get(3)).to_vec();
        let number = |at| answer.get(at).as_f64().unwrap_or(f64::NAN);
        Ok((number(0) as u16, number(1), headers, String::from_utf8(body).expect("UTF-8")))
    }

    /// What broke the body of the answer off.
    async fn broke(fetch: &str) -> JsValue {
        answer_of(fetch, 1000).await.expect("an answer").get(4)
    }

    async fn answer_of(fetch: &str, max_body: u32) -> Result<Array, JsValue> {
        let fetch = Function::new_with_args("request", fetch);
        let signal = web_sys::AbortController::new()?.signal();
        let url = "https://example.com/x".to_owned();
        let headers = "content-type: text/plain\nauthorization: Bearer a: b".to_owned();
        let body = Uint8Array::from(&b"hi"[..]);
        let answer = Promise::new(&mut |landed, failed| {
            let (fetch, url, headers) = (fetch.clone(), url.clone(), headers.clone());
            exchange(
                fetch,
                "POST",
                url,
                headers,
                body.clone(),
                signal.clone(),
                max_body,
                "content-type x-none set-cookie".to_owned(),
                false,
                false,
                landed,
                failed,
            );
        });
        JsFuture::from(answer).await.map(JsCast::unchecked_into)
    }

    #[wasm_bindgen_test]
    async fn carries_a_request_and_its_answer() {
        let echo = "return request.text().then((body) => new Response([request.method, request.url, \
                    request.headers.get('authorization'), request.redirect, body].join(' '), { status: 201, headers: { 'retry-after': '3' } }))";
        let answer = run(echo, 1000).await.expect("an answer");
        assert_eq!(answer, (201, 3000.0, "POST https://example.com/x Bearer a: b manual hi".to_owned()));
    }

    #[wasm_bindgen_test]
    async fn gives_the_headers_that_were_wanted_each_cookie_by_itself() {
        let answer = "const answer = new Response('', { headers: { 'content-type': 'text/html', 'x-other': '1' } }); \
                      Object.defineProperty(answer.headers, 'getSetCookie', { value: () => ['a=1; Expires=Wed, 1 Jan 2031 00:00:00 GMT', 'b=2'] }); \
                      const headers = answer.headers; Object.defineProperty(answer, 'headers', { value: headers }); return Promise.resolve(answer)";
        let (_, _, headers, _) = see(answer, 1000).await.expect("an answer");
        assert_eq!(
            headers,
            "content-type: text/html\nset-cookie: a=1; Expires=Wed, 1 Jan 2031 00:00:00 GMT\nset-cookie: b=2\n"
        );
    }

    #[wasm_bindgen_test]
    async fn reads_no_more_of_an_answer_than_the_limit_and_cancels_the_rest() {
        let endless = "globalThis.cancelled = 0; return Promise.resolve(new Response(new ReadableStream({ \
                       pull(c) { c.enqueue(new TextEncoder().encode('0123456789')) }, cancel() { globalThis.cancelled++ } })))";
        assert_eq!(run(endless, 25).await.expect("an answer").2, "0123456789012345678901234");
        let cancelled = Reflect::get(&global(), &"cancelled".into()).expect("a counter");
        assert_eq!(cancelled.as_f64(), Some(1.0));
    }

    #[wasm_bindgen_test]
    async fn a_body_that_breaks_off_still_has_a_status() {
        let broken = "let sent = 0; return Promise.resolve(new Response(new ReadableStream({ \
                      pull(c) { if (sent++) c.error(new Error('gone')); else c.enqueue(new Uint8Array([104, 105])) } }), { status: 500 }))";
        assert_eq!(run(broken, 1000).await.expect("an answer"), (500, -1.0, "hi".to_owned()));
        assert_eq!(js_sys::Error::from(broke(broken).await).message(), "gone");
        assert!(broke("return Promise.resolve(new Response('whole'))").await.is_undefined());
    }

    #[wasm_bindgen_test]
    async fn rejects_with_what_the_fetch_rejected_with() {
        let error = run("return Promise.reject(new TypeError('no way'))", 1000).await.expect_err("an error");
        assert_eq!(js_sys::Error::from(error).message(), "no way");
        assert!(run("throw new TypeError('thrown')", 1000).await.is_err());
    }
}
