// The page at the admin address, for people: plain HTML and a script of its own, nothing from elsewhere. It asks for what
// programs ask for, every two seconds, and draws the last minutes.

enum StatusPage {
    static let text = #"""
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8"><title>khp gateway</title>
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <style>
        :root{color-scheme:light dark;--fg:#1a1c20;--bg:#fafbfc;--card:#fff;--line:#d9dde3;--dim:#5b6370;--good:#147a3d;--bad:#b3261e;--warn:#8a5a00;--plot:#2458c5}
        @media(prefers-color-scheme:dark){:root{--fg:#e6e8eb;--bg:#14161a;--card:#1d2026;--line:#343a44;--dim:#9aa3b0;--good:#5ad18a;--bad:#ff8a80;--warn:#f0b850;--plot:#7aa7ff}}
        *{box-sizing:border-box}body{margin:0;padding:1rem;font:15px/1.45 system-ui,sans-serif;color:var(--fg);background:var(--bg)}
        main{max-width:64rem;margin:auto}h1{font-size:1.2rem;margin:.2rem 0}h2{font-size:1rem;margin:0}
        .facts{color:var(--dim);margin:.2rem 0 1rem;overflow-wrap:anywhere}
        .card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.8rem;margin:0 0 .8rem}
        .row{display:flex;flex-wrap:wrap;gap:.4rem 1.2rem;align-items:baseline;justify-content:space-between}
        .row span{color:var(--dim)}.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:.8rem;margin:.6rem 0 0}
        figure{margin:0}figcaption{color:var(--dim);font-size:.85rem;display:flex;justify-content:space-between}
        svg{display:block;width:100%;height:3rem;border-bottom:1px solid var(--line)}
        polyline{fill:none;stroke:var(--plot);stroke-width:1.5;vector-effect:non-scaling-stroke}
        ul{list-style:none;margin:.6rem 0 0;padding:0}li{display:flex;flex-wrap:wrap;gap:.2rem .8rem;border-top:1px solid var(--line);padding:.3rem 0;overflow-wrap:anywhere}
        li b{font-weight:600}li span{color:var(--dim)}.up{color:var(--good)}.down,.disabled{color:var(--bad)}.ejected,.draining{color:var(--warn)}
        #said{color:var(--bad)}input,button{font:inherit;color:inherit;background:var(--bg);border:1px solid var(--line);border-radius:.3rem;padding:.3rem .5rem}
        input{min-width:0;width:20rem;max-width:100%}form{display:flex;flex-wrap:wrap;gap:.5rem;align-items:center}form[hidden]{display:none}
        </style></head><body><main>
        <h1>khp gateway <span id="phase"></span></h1><p class="facts" id="facts"></p><p id="said" role="status"></p>
        <form id="door" class="card" hidden><label for="token">Token of the admin address</label>
        <input id="token" type="password" autocomplete="current-password" required><button>Show</button></form>
        <div id="services"></div></main>
        <script>
        "use strict";
        const most=150,history={};let last=null;
        const make=(name,text,kind)=>{const e=document.createElement(name);if(text!==undefined)e.textContent=text;if(kind)e.className=kind;return e};
        const size=n=>{for(const u of["B","KiB","MiB","GiB"]){if(n<1024||u==="GiB")return(n<10&&u!=="B"?n.toFixed(1):Math.round(n))+" "+u;n/=1024}};
        function plot(title,values,show){
          const f=make("figure"),c=make("figcaption");c.append(make("span",title),make("span",values.length?show(values[values.length-1]):"–"));
          const ns="http://www.w3.org/2000/svg",s=document.createElementNS(ns,"svg"),l=document.createElementNS(ns,"polyline");
          s.setAttribute("viewBox","0 0 "+(most-1)+" 100");s.setAttribute("preserveAspectRatio","none");s.setAttribute("role","img");
          s.setAttribute("aria-label",title+", the last five minutes, at most "+show(Math.max(0,...values)));
          const top=Math.max(1,...values);
          l.setAttribute("points",values.map((v,i)=>(most-values.length+i)+","+(98-96*v/top)).join(" "));s.append(l);f.append(s,c);return f}
        function card(s){
          const h=history[s.name],d=make("section",undefined,"card"),r=make("div",undefined,"row");
          r.append(make("h2",s.name),make("span",s.kind+" at "+s.path));d.append(r);
          const p=make("div",undefined,"plots");
          p.append(plot("sessions",h.sessions,v=>String(v)),plot("from clients",h.in,v=>size(v)+"/s"),plot("to clients",h.out,v=>size(v)+"/s"));d.append(p);
          for(const pool of s.pools){const l=make("ul");for(const b of pool.backends){const i=make("li");
            i.append(make("b",b.state,b.state),make("span",b.url),make("span",b.connections+" connections"));
            if(b.state!=="up"&&b.last_error)i.append(make("span",b.last_error));if(b.ejected_s)i.append(make("span","again in "+b.ejected_s+" s"));l.append(i)}
            d.append(l)}
          return d}
        function take(now,state){
          const dt=last?(now-last.at)/1000:0;
          for(const s of state.services){const h=history[s.name]??={sessions:[],in:[],out:[]},b=last&&last.by[s.name];
            h.sessions.push(s.sessions);if(b&&dt>0){h.in.push(Math.max(0,s.in_bytes-b.in_bytes)/dt);h.out.push(Math.max(0,s.out_bytes-b.out_bytes)/dt)}
            for(const k in h)while(h[k].length>most)h[k].shift()}
          last={at:now,by:Object.fromEntries(state.services.map(s=>[s.name,s]))}}
        const door=document.getElementById("door"),field=document.getElementById("token");
        let token=null,next=0;try{token=sessionStorage.getItem("khp-admin-token")}catch(e){}
        door.addEventListener("submit",e=>{e.preventDefault();token=field.value;field.value="";
          try{sessionStorage.setItem("khp-admin-token",token)}catch(e){}
          door.hidden=true;clearTimeout(next);look()});
        function ask(){
          const wrong=token!==null;token=null;try{sessionStorage.removeItem("khp-admin-token")}catch(e){}
          document.getElementById("services").replaceChildren();document.getElementById("facts").textContent="";document.getElementById("phase").textContent="";
          document.getElementById("said").textContent=wrong?"That is not the token.":"";door.hidden=false;field.focus()}
        async function look(){
          try{const answer=await fetch("services",{cache:"no-store",headers:token===null?{}:{Authorization:"Bearer "+token}});
            if(answer.status===401)return ask();if(!answer.ok)throw new Error("HTTP "+answer.status);
            const state=await answer.json();take(performance.now(),state);
            document.getElementById("phase").textContent="is "+state.phase;
            document.getElementById("facts").textContent=state.sessions+" of "+state.capacity+" sessions; "+state.listeners.map(l=>l.name+" at "+l.address).join(", ")+"; configuration of "+state.loaded+(state.reload_successful?"":"; THE LAST RELOAD FAILED");
            document.getElementById("services").replaceChildren(...state.services.map(card));
            document.getElementById("said").textContent=""}
          catch(e){document.getElementById("said").textContent="The gateway does not answer: "+e.message}
          next=setTimeout(look,2000)}
        look();
        </script></body></html>
        """#
}
