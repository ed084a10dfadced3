"use client";
import { CloudEvent } from "eventferry";
import { useEffect } from "react";

// The page is rendered on the server, and the checks run in the browser.
export default function Page() {
  useEffect(() => {
    void import("../page.mjs");
  }, []);
  return <p>{new CloudEvent({ type: "rendered", source: "/s", id: "1", time: "2026-01-01T00:00:00Z" }).toString()}</p>;
}
