globalThis.report = new Promise((resolve, reject) => {
  const worker = new Worker("/bundled/module-worker.js", { type: "module" });
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = ({ message }) => reject(new Error(message ?? "the worker did not start"));
});
