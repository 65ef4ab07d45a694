#include "report/report.h"

#include "report/page.h"
#include "report/report_style.h"
#include "report/sections.h"

namespace retort::report {

std::string html_report(const search::StudyResult& study, const StudyFiles& files) {
  std::string body = front_section(study) + progress_section(study) + stages_section(study) +
                     costs_section(study) + details_section(study, files);
  if (files.analysis)
    body += mistakes_section(study, *files.analysis) + labels_section(study, *files.analysis);
  body += usage_section(study, files.folder) + exploration_section(study) + networks_section(study) +
          settings_section(study);
  return html_page({.title = "Retort: " + study.data_spec,
                    .style = kReportStyle,
                    .script = kPageScript,
                    .policy = {},
                    .body = summary_section(study) + contents(body) + body});
}

}  // namespace retort::report
