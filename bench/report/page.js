"use strict";
(() => {
  // Rows of every table, by a click on a column's head; what has no value in it comes last.
  const key = cell => (cell.dataset.v === undefined ? cell.textContent : cell.dataset.v);
  const sort = (table, column, descending) => {
    const body = table.tBodies[0];
    const compare = (a, b) => {
      const [x, y] = [key(a.cells[column]), key(b.cells[column])];
      if (x === "" || y === "") return (x === "") - (y === "");
      const numbers = a.cells[column].dataset.v !== undefined;
      const [p, q] = numbers ? [Number(x.replace("inf", "Infinity")), Number(y.replace("inf", "Infinity"))] : [x, y];
      const order = p < q ? -1 : p > q ? 1 : 0;
      return descending ? -order : order;
    };
    body.append(...[...body.rows].sort(compare));
  };
  for (const table of document.querySelectorAll("table.sorts")) {
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const descending = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        sort(table, column, descending);
      });
    });
  }

  // One choice of kinds, wherever it is made, for all tables.
  const boxes = [...document.querySelectorAll(".filter input")];
  const filter = () => {
    const hidden = new Set(boxes.filter(box => !box.checked).map(box => box.value));
    for (const row of document.querySelectorAll("tr[data-kind]")) row.hidden = hidden.has(row.dataset.kind);
  };
  for (const box of boxes) {
    box.addEventListener("change", () => {
      for (const other of boxes) if (other.value === box.value) other.checked = box.checked;
      filter();
    });
  }
  for (const bar of document.querySelectorAll(".filter")) bar.hidden = false;
  filter();

  // The link for which error is drawn against time.
  const choose = document.querySelector(".choose");
  if (choose) {
    const select = choose.querySelector("select");
    const show = () => {
      for (const plot of document.querySelectorAll(".on-link")) plot.hidden = plot.dataset.link !== select.value;
    };
    choose.hidden = false;
    select.addEventListener("change", show);
    show();
  }
})();
