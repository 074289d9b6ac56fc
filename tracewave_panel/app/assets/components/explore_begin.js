// Where an answer will be, before there is one: what can be asked, each with a question to begin with.
const firstQuestion = ({name, columns}) => {
  const time = columns.find(([, type]) => type === "timestamp");
  return `SELECT *\nFROM   ${plainName(name)}\n${time ? `ORDER  BY ${plainName(time[0])} DESC\n` : ""}LIMIT  100`;
};

const beginning = (tw, act) => {
  const {element} = tw;
  const box = element("div", "begin"), words = element("p", "rest"), lead = element("p", "rest lead", "Or begin with the newest rows of one of these:"), list = element("ul", "offers");
  box.append(words, lead, list);
  lead.hidden = true;
  const show = (relations) => {
    lead.hidden = !relations.length;
    list.replaceChildren(...offers(relations));
  };
  const offers = (relations) => relations.filter(({name, comment}) => comment && name !== "meta").map((relation) => {
    const item = element("li"), button = element("button", "offer"), columns = relation.columns.map(([column]) => column);
    button.type = "button";
    button.append(element("bdi", "name", relation.name), element("span", "", relation.comment), element("bdi", "of", columns.join(", ")));
    button.title = columns.join(", ");
    button.setAttribute("aria-label", `Ask ${relation.name}. ${relation.comment}`);
    button.addEventListener("click", () => act.ask(firstQuestion(relation)));
    item.append(button);
    return item;
  });
  return {box, show, say: (text) => { words.textContent = text; }};
};
