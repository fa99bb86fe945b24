// Claims: what was claimed, and what this run and the published numbers say of it.

const VERDICTS = { supported: "✓ supported", contradicted: "✗ contradicted", undecided: "– undecided" };

/** Show each claim with its verdict. */
function drawClaims(view) {
  const isDecided = ({ verdict }) => verdict !== "undecided";
  const decided = run.rows.claims.filter(isDecided).length;
  const ordered = [...run.rows.claims].sort((a, b) => isDecided(b) - isDecided(a));
  const columns = [
    { name: "statement", words: "Claim", text: (row) => row.statement, value: (row) => row.statement, kind: "text" },
    { name: "verdict", words: "Verdict", text: (row) => VERDICTS[row.verdict] ?? row.verdict, value: (row) => row.verdict },
    { name: "source", words: "Held against", text: (row) => (row.source === "run" ? "this run" : "the published numbers"), value: (row) => row.source },
    { name: "quantity", words: "By", text: (row) => quantityWords(row.quantity), value: (row) => row.quantity },
    { name: "effect", words: "Effect", text: (row) => withInterval(number(row.effect), number(row.low), number(row.high)), value: (row) => number(row.effect), kind: "number" },
    { name: "n_datasets", words: "Concepts", text: (row) => row.n_datasets, value: (row) => number(row.n_datasets), kind: "number" },
  ];
  view.append(
    element("p", { class: "said" }, `${decided} of ${run.rows.claims.length} are decided; a claim takes several concepts to decide.`),
    sortableTable("Claims of config/claims.yaml", columns, ordered, { sorted: state.picked.sortClaims, sort: (value) => pick("sortClaims", value) }),
  );
}
