"use client";
import { useState } from "react";
import { track } from "../lib/events.js";

export default function Page() {
  const [accepted, setAccepted] = useState(0);
  const click = async () => {
    const report = await track("com.example.button.clicked", { at: Date.now() });
    setAccepted((count) => count + report.accepted.length);
  };
  return (
    <main>
      <button type="button" onClick={click}>
        Publish
      </button>
      <p role="status">{accepted} accepted</p>
    </main>
  );
}
