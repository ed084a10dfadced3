// The direction of imports in js/: down only, and no circles, types included. The layers, from the top:
//
//   public
//   systems     testing
//   outbox      stores
//   client
//   engine      platform
//
// `build` holds scripts, and `cli` the programs of the package, which no other file imports.

/** Layers, from the top. Files of a layer import their own folder and layers below. */
const LAYERS = [["public"], ["systems", "testing"], ["outbox", "stores"], ["client"], ["engine", "platform"]];

/** What a folder may import beside its own layer rule: of the same layer, and in that direction only. */
const SIDEWAYS = { testing: ["systems"], outbox: ["stores"], engine: ["platform"] };

const below = LAYERS.flatMap((folders, at) =>
  folders.map((folder) => {
    const allowed = [folder, ...(SIDEWAYS[folder] ?? []), ...LAYERS.slice(at + 1).flat()];
    return {
      name: `${folder}-imports-down`,
      comment: `${folder} may import ${allowed.join(", ")}`,
      severity: "error",
      from: { path: `^js/${folder}/` },
      to: { path: "^js/", pathNot: `^js/(${allowed.join("|")})/|^js/wasm/` },
    };
  }),
);

module.exports = {
  forbidden: [
    { name: "no-circles", severity: "error", from: {}, to: { circular: true } },
    ...below,
    {
      name: "systems-apart",
      comment: "systems may import cloudevents, and none of the others",
      severity: "error",
      from: { path: "^js/systems/([^/]+)/", pathNot: "^js/systems/salesforce/" },
      to: { path: "^js/systems/", pathNot: "^js/systems/($1|cloudevents)/" },
    },
    {
      name: "salesforce-on-bayeux",
      comment: "salesforce may import bayeux too",
      severity: "error",
      from: { path: "^js/systems/salesforce/" },
      to: { path: "^js/systems/", pathNot: "^js/systems/(salesforce|bayeux|cloudevents)/" },
    },
    {
      name: "generated-only-in-engine",
      severity: "error",
      from: { pathNot: "^js/engine/" },
      to: { path: "^(js|dist)/wasm/" },
    },
    {
      name: "proxy-without-engine",
      comment: "The proxy serves pages that have the engine, and does without it itself.",
      severity: "error",
      from: { path: "^js/systems/salesforce/proxy(/|\\.ts)" },
      to: { path: "^js/(engine/(?!(errors|messages)\\.ts)|outbox|stores)" },
    },
    {
      name: "packages-in-their-place",
      comment:
        "Only the schemas and topics of BriteEvents load YAML and JSON Schema, and only eventferry/jwt loads jose.",
      severity: "error",
      from: {
        path: "^js/",
        pathNot: "^js/(build/|systems/bc-events/(schema|topics)[^/]*\\.ts|systems/cloudevents/signatures/jwt\\.ts)",
      },
      to: { dependencyTypes: ["npm"] },
    },
    { name: "not-to-unresolvable", severity: "error", from: {}, to: { couldNotResolve: true, pathNot: "/wasm/" } },
  ],
  options: {
    includeOnly: "^js/|node_modules",
    exclude: "^js/(build|cli)/",
    doNotFollow: "node_modules",
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "default", "types"] },
  },
};
