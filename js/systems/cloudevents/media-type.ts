/** What a media type says about the data. */

/** Whether the media type is JSON: the subtype is `json` or ends in `+json`. */
export function isJson(mediaType: string): boolean {
  return mediaType === "application/json" || /^[^/;]+\/(?:[^;]*\+)?json\s*(?:;|$)/i.test(mediaType);
}

/** Whether the media type is text, so that `data` is a string. All that is neither JSON nor text is bytes. */
export function isTextual(mediaType: string): boolean {
  return /^(?:text\/|[^;]*(?:[/+](?:xml|yaml|json-seq|csv)|\/(?:x-)?(?:ndjson|jsonlines|javascript|ecmascript|graphql|sql|toml|www-form-urlencoded))\s*(?:;|$)|[^;]*;.*charset=)/i.test(
    mediaType,
  );
}

/** The charset of a media type, as a label for `TextDecoder`. The default is UTF-8. */
export function charsetOf(mediaType: string | undefined): string {
  return /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(mediaType ?? "")?.[1] ?? "utf-8";
}
