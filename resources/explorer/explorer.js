"use strict";
const bytes = Uint8Array.from(atob(document.getElementById("data").textContent), (c) => c.charCodeAt(0));
new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json().then((data) => {
  document.querySelector("main").textContent = `${data.curves.length} curves`;
});
